#!/bin/sh
# usage: scripts/node-packages.sh <sources> <directory>: installs what the lock file of the sources names into the directory.
# Nothing is downloaded when nothing is missing or changed.
set -eu
mkdir -p "$2"
exec 9>"$2.lock"
flock 9
if ! cmp -s "$1/package-lock.json" "$2/.installed"; then
  cp "$1/package.json" "$1/package-lock.json" "$2/"
  (cd "$2" && npm ci --silent --no-audit --no-fund)
  cp "$1/package-lock.json" "$2/.installed"
fi
