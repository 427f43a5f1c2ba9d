#!/bin/sh
# usage: scripts/fuzz.sh [seconds [target...]]: lets libFuzzer try each target for so long, one after the other. It runs on stable Rust:
# the flags are those of cargo-fuzz, without a sanitizer. A finding stays in fuzz/artifacts and ends the run.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -eq 0 ] || shift
host=$(rustc -vV | sed -n 's/^host: //p')
targets=${*:-$(cd fuzz/fuzz_targets && ls | sed 's/\.rs$//')}
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
cargo build --quiet --release --manifest-path fuzz/Cargo.toml --target "$host"
for target in $targets; do
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    echo "fuzzing $target for $seconds s"
    "fuzz/target/$host/release/$target" "fuzz/corpus/$target" "fuzz/seeds/$target" \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="fuzz/artifacts/$target/"
done
