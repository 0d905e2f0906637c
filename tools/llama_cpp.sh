#!/usr/bin/env bash
# llama_cpp.sh [FOLDER]: adds llama.cpp to the Python environment of tools/peers.sh (default: build/peers-venv), so that its forms of a
# language model can be made, judged and timed. It is built for this machine's CPU from the source package of llama-cpp-python that
# requirements-llama-cpp.txt pins: programs and libraries in FOLDER/llama.cpp, the Python binding beside the other packages. The model
# of requirements-language-data.txt comes with it. This takes ten minutes on two cores, once. Quick when nothing changed.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-build/peers-venv}
pins=requirements-llama-cpp.txt
tools/peers.sh "$folder" requirements-language.txt
folder=$(realpath "$folder")
log=$(dirname "$folder")/llama-cpp.log
key=$({ cat "$pins" requirements-language-data.txt "$0"; grep -m2 -E '^(model name|flags)' /proc/cpuinfo; } | sha256sum | cut -d' ' -f1)
[[ $(cat "$folder/llama.cpp/ready" 2>/dev/null) == "$key" ]] && exit 0

scratch=$(mktemp -d "$folder/llama-cpp-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
build() {
  set -ex
  local pip=("$folder/bin/python" -m pip --disable-pip-version-check) off=() part source
  "${pip[@]}" install --quiet --no-deps -r requirements-language-data.txt
  "${pip[@]}" download --quiet --no-deps --no-binary llama-cpp-python -d "$scratch" "$(grep '^llama-cpp-python==' "$pins")"
  tar -xzf "$scratch"/llama_cpp_python-*.tar.gz -C "$scratch"
  source=$(echo "$scratch"/llama_cpp_python-*/vendor/llama.cpp)
  for part in TESTS EXAMPLES SERVER APP UI; do off+=("-DLLAMA_BUILD_$part=OFF"); done
  # The libraries lie beside the programs, wherever the folder is.
  cmake -S "$source" -B "$scratch/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DLLAMA_OPENSSL=OFF "${off[@]}" \
    -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON -DCMAKE_INSTALL_RPATH='$ORIGIN'
  nice cmake --build "$scratch/build" --target llama llama-quantize llama-imatrix
  # The binding alone, which loads what was built above.
  CMAKE_ARGS='-DLLAMA_BUILD=OFF -DLLAVA_BUILD=OFF' "${pip[@]}" install --quiet --no-binary llama-cpp-python -r "$pins"
  rm -rf "$folder/llama.cpp"
  mv "$scratch/build/bin" "$folder/llama.cpp"
  mv "$source/gguf-py/gguf" "$folder/llama.cpp"
  echo "$key" >"$folder/llama.cpp/ready"
}
echo "dnateq: building llama.cpp into $folder, once" >&2
set +e
(build) >"$log" 2>&1  # no condition of an `if`, in which a failed command would not end it
status=$?
set -e
if ((status)); then
  echo "dnateq: llama.cpp could not be built; $log says why" >&2
  exit 1
fi
