#!/usr/bin/env bash
# Builds a wheel of the Python package for each PYTHON (default: every CPython 3.10-3.13 that is found, on PATH or among
# pyenv's) into build/dist, with the system's libraries that it links bundled; OpenVINO's come with its own wheel.
# --check: then installs each into a fresh virtual environment and runs tools/wheel_check.py there.
#   tools/wheel.sh [--check] [PYTHON ...]
# C++ is compiled once, in build/wheel; each Python adds its module.
set -euo pipefail
cd "$(dirname "$0")/.."

check=
if [[ ${1:-} == --check ]]; then check=1; shift; fi
pythons=("$@")
if ((!$#)); then
  for version in 3.10 3.11 3.12 3.13; do
    for python in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/"python$version"; do
      if "$python" -c 'import venv, sysconfig, os; assert os.path.exists(sysconfig.get_paths()["include"] + "/Python.h")' \
          2>/dev/null; then
        pythons+=("$python")
        break
      fi
    done
  done
fi
((${#pythons[@]})) || { echo "wheel: no Python from 3.10 to 3.13 with its headers was found; name one" >&2; exit 1; }

tools/setup.sh
openvino=$(.venv/bin/python -c 'import importlib.util as u; print(*u.find_spec("openvino").submodule_search_locations)')
mkdir -p build/dist build/dist-plain
for python in "${pythons[@]}"; do
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  folder=build/wheel-venv/$version
  if [[ ! -e $folder/ready || $folder/ready -ot requirements-wheel.txt ]]; then
    "$python" -m venv --clear "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements-wheel.txt
    touch "$folder/ready"
  fi
  rm -f build/dist-plain/*.whl
  echo "wheel: Python $version; build/wheel-$version.log"
  # --fresh: nothing of the Python before stays in CMake's cache; what was compiled stays.
  PATH=$PWD/$folder/bin:$PATH tools/quiet.sh "build/wheel-$version.log" "$folder/bin/python" -m pip wheel . --no-deps \
    --no-build-isolation --disable-pip-version-check --wheel-dir build/dist-plain \
    --config-settings=cmake.args=--fresh --config-settings="cmake.define.OpenVINO_DIR=$openvino/cmake"
  PATH=$PWD/$folder/bin:$PATH tools/quiet.sh "build/wheel-$version.log" "$folder/bin/auditwheel" repair \
    --exclude 'libopenvino*' --exclude 'libtbb*' --wheel-dir build/dist build/dist-plain/*.whl
  wheel=$(ls -t build/dist/dnateq-*-cp"${version/./}"-*.whl | head -1)
  echo "wheel: $wheel"
  if [[ $check ]]; then tools/wheel_check.sh "$wheel" "$python"; fi
done
