#!/usr/bin/env python3
"""The INT8 network that NNCF makes of a model with its default preset: the peer for speed, size and accuracy.

examples:
    nncf_int8.py resnet20.onnx --calibration calibration.npz -o int8/resnet20.xml
    nncf_int8.py model.onnx --calibration examples/demo/calibration -o int8/model.xml
"""

import argparse
import time
from pathlib import Path

import nncf
import openvino as ov
from inputs import calls_of


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL", help="ONNX or OpenVINO IR")
    parser.add_argument("--calibration", type=Path, required=True, metavar="DATA", help=".npz, .npy, or a folder of .npz")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="XML")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="samples a call of an .npz (default: %(default)s)")
    parser.add_argument("--subset-size", type=int, default=300, metavar="N", help="calls used (default: NNCF's, %(default)s)")
    parser.add_argument("--model-type", choices=["transformer"], help="NNCF's scheme for Transformers")
    args = parser.parse_args()

    model = ov.Core().read_model(args.model)
    calls = list(calls_of(model, args.calibration, args.batch))
    if not calls:
        parser.error(f"{args.calibration}: no samples")
    start = time.monotonic()
    quantized = nncf.quantize(model, nncf.Dataset(calls), subset_size=min(args.subset_size, len(calls)),
                              model_type=nncf.ModelType.TRANSFORMER if args.model_type else None)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(quantized, args.output, compress_to_fp16=False)
    size = args.output.with_suffix(".bin").stat().st_size
    print(f"{args.output}: {min(args.subset_size, len(calls))} calls, {size / 1e6:.2f} MB of weights, "
          f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
