#!/usr/bin/env bash
# Installs the pinned packages of requirements-bench.txt, of which `dnateq bench --peers` makes others' INT8 and 4-bit
# networks, into FOLDER (default: build/peers-venv): a Python environment of their own. Quick when nothing changed.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-build/peers-venv}
hash=$(sha256sum <requirements-bench.txt | cut -d' ' -f1)
[[ $(cat "$folder/.dnateq-ready" 2>/dev/null) == "$hash" ]] && exit
log=$(dirname "$folder")/peers.log
mkdir -p "$(dirname "$folder")"
echo "dnateq: installing the packages of requirements-bench.txt into $folder, once" >&2
install() {
  python=${DNATEQ_PYTHON:-.venv/bin/python}
  "$python" -c '' 2>/dev/null || python=python3
  "$folder/bin/python" -c '' 2>/dev/null || "$python" -m venv --clear "$folder"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
}
if ! (set -e; install) >"$log" 2>&1; then
  echo "dnateq: the peers' packages could not be installed; $(realpath "$log") says why" >&2
  exit 1
fi
echo "$hash" >"$folder/.dnateq-ready"
