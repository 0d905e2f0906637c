#!/usr/bin/env bash
# peers.sh [FOLDER [REQUIREMENTS...]]: installs the pinned packages of requirements-bench.txt, of which `dnateq bench --peers`
# makes others' INT8 and 4-bit networks, and of further files into FOLDER (default: build/peers-venv): a Python environment of
# their own. Quick when nothing changed.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-build/peers-venv}
log=$(dirname "$folder")/peers.log
mkdir -p "$(dirname "$folder")"
install() {
  python=${DNATEQ_PYTHON:-.venv/bin/python}
  "$python" -c '' 2>/dev/null || python=python3
  "$folder/bin/python" -c '' 2>/dev/null || "$python" -m venv --clear "$folder"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$1"
}
for requirements in requirements-bench.txt "${@:2}"; do
  ready=$folder/.ready-$requirements
  hash=$(sha256sum <"$requirements" | cut -d' ' -f1)
  [[ $(cat "$ready" 2>/dev/null) == "$hash" ]] && continue
  echo "dnateq: installing the packages of $requirements into $folder, once" >&2
  if ! (set -e; install "$requirements") >"$log" 2>&1; then
    echo "dnateq: the peers' packages could not be installed; $(realpath "$log") says why" >&2
    exit 1
  fi
  echo "$hash" >"$ready"
done
