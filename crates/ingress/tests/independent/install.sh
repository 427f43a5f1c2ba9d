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
"$here/../../../../scripts/python-packages.sh" "$here/python/requirements.txt" "$python"
