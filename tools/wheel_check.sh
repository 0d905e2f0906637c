#!/usr/bin/env bash
# Installs a wheel into a fresh virtual environment, where nothing else of this project can be found, and runs
# tools/wheel_check.py there.
#   tools/wheel_check.sh WHEEL [PYTHON]
#   tools/wheel_check.sh --made [PYTHON]    the wheel that tools/wheel.sh made for it; 77 where there is none
set -euo pipefail
if [[ $1 == --made ]]; then
  tag=$("${2:-python3}" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
  made=("$(dirname "$0")"/../build/dist/dnateq-*-"$tag"-*.whl)
  [[ -e ${made[0]} ]] || { echo "no wheel for $tag in build/dist; tools/wheel.sh makes one"; exit 77; }
  set -- "${made[0]}" "${2:-python3}"
fi
wheel=$(realpath "$1") script=$(realpath "$(dirname "$0")/wheel_check.py") python=${2:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$wheel"
mkdir "$folder/work"
cd "$folder/work"
env -u PYTHONPATH -u LD_LIBRARY_PATH -u VIRTUAL_ENV PATH="$folder/venv/bin:$PATH" \
  "$folder/venv/bin/python" "$script"
