#!/bin/sh
# usage: scripts/python-packages.sh <requirements.txt> <directory>: makes a virtual environment with exactly these packages.
# Nothing is downloaded when nothing is missing or changed.
set -eu
mkdir -p "$(dirname "$2")"
exec 9>"$2.lock"
flock 9
if ! cmp -s "$1" "$2/.installed"; then
  rm -rf "$2"
  python3 -m venv "$2"
  "$2/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$1"
  cp "$1" "$2/.installed"
fi
