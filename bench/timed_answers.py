"""A language model in a process of its own, which answers and measures itself when asked.

Requests are a line of JSON each, {"ids": [...], "tokens": N}: read the ids and choose N likeliest tokens after them. The reply is
{"seconds": ..., "cpu_seconds": ..., "peak_mb": ...}; once it is loaded, the process says {"ready": true}.
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from pathlib import Path


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_megabytes():
    """/proc knows this process's own peak; getrusage would give that of its parent, too."""
    return float(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1e3


def timed(answer):
    """(seconds, CPU seconds) of a call."""
    cpu, start = cpu_seconds(), time.perf_counter()
    answer()
    return time.perf_counter() - start, cpu_seconds() - cpu


def serve(description, load):
    """The process's side: load(path, context, threads) gives what has answer(ids, tokens)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("network", type=Path)
    parser.add_argument("--context", type=int, default=512, metavar="N", help="tokens at most, with those chosen")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    args = parser.parse_args()
    try:
        network = load(args.network, args.context, args.threads)
    except Exception as error:
        sys.exit(" ".join(str(error).split()))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        seconds, cpu = timed(lambda: network.answer(request["ids"], request["tokens"]))
        print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak_megabytes()}), flush=True)


class Process:
    """The side of whoever asks. Raises ValueError with what the process said last, where it stops."""

    def __init__(self, words):
        self._process = subprocess.Popen(list(map(str, words)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                         text=True)
        self.peak_mb = None
        self._hear()

    def _hear(self):
        line = self._process.stdout.readline()
        if not line:
            said = self._process.communicate()[1].strip().splitlines()
            raise ValueError(said[-1] if said else f"it stopped with {self._process.returncode}")
        return json.loads(line)

    def ask(self, ids, tokens):
        """(seconds, CPU seconds) of an answer."""
        self._process.stdin.write(json.dumps({"ids": ids, "tokens": tokens}) + "\n")
        self._process.stdin.flush()
        told = self._hear()
        self.peak_mb = told["peak_mb"]
        return told["seconds"], told["cpu_seconds"]

    def close(self):
        self._process.communicate()
