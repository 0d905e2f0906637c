#!/usr/bin/env python3
"""The table of docs/isa.md: speed under a cap of instructions, by `dnateq bench`, as Markdown.

Each network is its FP32 file and a folder of `dnateq quantize --emit both`, as NAME=MODEL,RESULT[,NAME=DIM,DIM...]. The cap
holds for OpenVINO's kernels and ours. It says little about a CPU that has no more than the cap: clock, caches and ports are
those of this one; the table says so.

    bench/capped.py --cap AVX2 ResNet-20=resnet20.onnx,out/resnet20 MiniLM=minilm.onnx,out/minilm,input_ids=1,64
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

BINARY = Path(__file__).resolve().parents[1] / "build/release/bin/dnateq"


def measured(spec, args):
    name, rest = spec.split("=", 1)
    model, result, *shape = rest.split(",", 2)
    shapes = [word for text in shape for one in text.split(";") for word in ("--shape", one)]
    command = [BINARY, "bench", model, "--result", result, "--seconds", str(args.seconds), "--json", "-q", *shapes,
               *(("--peers", "--calibration", args.calibration) if args.calibration else ())]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "ONEDNN_MAX_CPU_ISA": args.cap})
    if done.returncode:
        sys.exit(f"capped: {name}: {done.stderr.strip()}")
    return name, json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", metavar="NAME=MODEL,RESULT[,SHAPE;...]")
    parser.add_argument("--cap", default="AVX2", help="of ONEDNN_MAX_CPU_ISA (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20, help="a network (default: %(default)s)")
    parser.add_argument("--calibration", help="for peers (NNCF's INT8 and others), if these are installed: dnateq bench --peers")
    args = parser.parse_args()
    documents = [measured(spec, args) for spec in args.networks]
    print(f"{documents[0][1]['cpu']}, capped: ONEDNN_MAX_CPU_ISA={args.cap}; batch 1, 1 thread; medians in ms and speed over FP32 "
          "with its 95 % interval\n")
    print("| network | file | ms | speed | 95 % |\n|---|---|---|---|---|")
    for name, document in documents:
        for result in document["results"]:
            low, high = result["confidence"]
            kind = "FP32" if result["kind"] == "given" else result["name"].split(": ")[-1]
            print(f"| {name} | {kind} | {result['median_ms']:.3f} | {result['speed']:.2f} | {low:.2f} - {high:.2f} |")


if __name__ == "__main__":
    main()
