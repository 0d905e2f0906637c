#!/usr/bin/env bash
# fuzz.sh [SECONDS]: builds tests/fuzz (preset `fuzz`: that of `dev`, libFuzzer, ASan, UBSan) and runs each fuzzer that
# long, as many at a time as there are processors.
# Seeds: tests/fuzz/corpus/NAME/; what a run finds of new coverage: build/fuzz/corpus/NAME/; a crash: build/fuzz/crash-NAME-*.
set -euo pipefail
cd "$(dirname "$0")/.."
export seconds=${1:-20}

if ! compgen -G 'tests/fuzz/*_fuzz.cc' >/dev/null; then
  echo "fuzz: there are no fuzzers in tests/fuzz"
  exit 0
fi
tools/quiet.sh build/dev-configure.log cmake --preset fuzz
cmake --build --preset fuzz

run() {
  name=$1
  corpus=build/fuzz/corpus/$name
  mkdir -p "$corpus"
  seeds=()
  [[ -d tests/fuzz/corpus/$name ]] && seeds=("tests/fuzz/corpus/$name")
  echo "fuzz: $name, $seconds s"
  tools/quiet.sh "build/fuzz/$name.log" "build/dev/bin/$name" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 \
    -artifact_prefix="build/fuzz/crash-$name-" "$corpus" "${seeds[@]}" || exit 255  # xargs starts no other
}
export -f run
for source in tests/fuzz/*_fuzz.cc; do basename "$source" .cc; done | xargs -P "$(nproc)" -I{} bash -c 'run {}'
