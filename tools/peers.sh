#!/usr/bin/env bash
# Installs the pinned packages of requirements-bench.txt, of which `dnateq bench --peers` makes others' INT8 and 4-bit
# networks, into build/peers-venv: a Python environment of their own. Quick when nothing changed.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/peers-venv
hash=$(sha256sum <requirements-bench.txt | cut -d' ' -f1)
[[ $(cat "$folder/.dnateq-ready" 2>/dev/null) == "$hash" ]] && exit
log=build/peers.log
mkdir -p build
echo "dnateq: installing the packages of requirements-bench.txt into $folder, once" >&2
install() {
  python=.venv/bin/python
  "$python" -c '' 2>/dev/null || python=python3
  "$folder/bin/python" -c '' 2>/dev/null || "$python" -m venv --clear "$folder"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
}
if ! (set -e; install) >"$log" 2>&1; then
  echo "dnateq: the peers' packages could not be installed; $PWD/$log says why" >&2
  exit 1
fi
echo "$hash" >"$folder/.dnateq-ready"
