#!/bin/sh
# Upgrades a running installation from an older version to this one, and back, under load. The older version is a commit:
# scripts/upgrade-test.sh [COMMIT]; by default the last one that is known to have been in use.
set -eu
cd "$(dirname "$0")/.."
older=${1:-b9bc832}
target=${CARGO_TARGET_DIR:-$PWD/target}
source=$target/older/$older

if ! commit=$(git rev-parse --quiet --verify "$older^{commit}"); then
  echo "upgrade-test: $older is not in this clone; fetch its history (git fetch --unshallow)" >&2
  exit 2
fi
mkdir -p "$source"
git archive "$commit" | tar -x -C "$source"
# Into a directory of its own: cargo would take what two versions build in one for the same.
(cd "$source" && CARGO_TARGET_DIR=$source/target cargo build --locked -p hookgate)
cargo build --locked -p hookgate -p hookgate-testkit --bins
HOOKGATE_OLDER=$source/target/debug/hookgate "$target/debug/with-servers" \
  cargo test --locked -p hookgate --test it -- --ignored --nocapture upgrade::
