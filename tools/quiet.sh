#!/usr/bin/env bash
# quiet.sh LOG COMMAND...: runs the command with its output in LOG, and shows the log only when it fails.
log=$1
shift
mkdir -p "$(dirname "$log")"
"$@" >"$log" 2>&1 || { status=$?; cat "$log" >&2; exit "$status"; }
