#!/bin/sh
# Installs the published packages of the tests in this directory: install.sh <directory for Python's>
# Nothing is downloaded when nothing is missing or changed.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
python=$1
if ! cmp -s "$here/node/package-lock.json" "$here/node/node_modules/.installed"; then
  (cd "$here/node" && npm ci --silent --no-audit --no-fund)
  cp "$here/node/package-lock.json" "$here/node/node_modules/.installed"
fi
if ! cmp -s "$here/python/requirements.txt" "$python/.installed"; then
  rm -rf "$python"
  python3 -m venv "$python"
  "$python/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/python/requirements.txt"
  cp "$here/python/requirements.txt" "$python/.installed"
fi
