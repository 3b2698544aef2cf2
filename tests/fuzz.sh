#!/bin/bash
# Fuzzes everything that reads what strangers write: each target for SECONDS_EACH (60), from the
# corpora in fuzz/corpus, several at a time. Installs cargo-fuzz into target/tools if it is missing.
# SEED (1) decides what is tried: the same every time, so that a check fails for what has changed;
# another one, and more time, look further.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${SECONDS_EACH:-60}
seed=${SEED:-1}
version=0.13.1
export PATH="$PWD/target/tools/bin:$PATH"
if [ "$(cargo fuzz --version 2>/dev/null)" != "cargo-fuzz $version" ]; then
  cargo install --quiet --locked --root target/tools --version "$version" cargo-fuzz
fi

# libFuzzer's hooks are unstable options of the compiler; this lets the stable one take them. The
# code under test has no unsafe parts, so no sanitizer is worth its time.
export RUSTC_BOOTSTRAP=1 CARGO_INCREMENTAL=0
fuzz() { cargo fuzz "$@" --fuzz-dir fuzz --sanitizer none; }

targets=$(cargo fuzz list --fuzz-dir fuzz)
for target in $targets; do
  fuzz build "$target"
done
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
running=()
built=fuzz/target/$(rustc -vV | sed -n 's/^host: //p')/release
for target in $targets; do
  # What is found anew stays out of the repository.
  mkdir -p "$logs/$target" "fuzz/artifacts/$target"
  "$built/$target" -artifact_prefix="fuzz/artifacts/$target/" -dict=fuzz/hls.dict \
    -seed="$seed" -max_total_time="$seconds" -max_len=4096 -print_final_stats=1 \
    "$logs/$target" "fuzz/corpus/$target" tests/data/playlists >"$logs/$target.log" 2>&1 &
  running+=("$target:$!")
done
passed=0
failed=0
for pair in "${running[@]}"; do
  target=${pair%%:*}
  if wait "${pair##*:}"; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$target.log")
    echo "fuzz $target: $seconds s, $runs runs, nothing found"
    passed=$((passed + 1))
  else
    tail -40 "$logs/$target.log"
    echo "fuzz $target: FAILED; the input is in fuzz/artifacts/$target"
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
