#!/usr/bin/env python3
"""An image classifier: the fewest bits that cost at most 1 % of its accuracy.

DATA is a folder with resnet20.onnx and cifar10.npz (uint8 images `calib_x`, `test_x` and labels `test_y`).

    python examples/python/classifier.py DATA -o resnet20-quantized
"""

import argparse
from pathlib import Path

import numpy as np

import dnateq

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def batches(images, size=50):
    """Normalized [n, 3, 32, 32] of uint8 [n, 32, 32, 3], `size` images at a time."""
    for start in range(0, len(images), size):
        pixels = (images[start:start + size].astype(np.float32) / 255 - MEAN) / STD
        yield np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def accuracy(model, images, labels):
    scores = np.concatenate([model(batch)[0] for batch in batches(images)])
    return float((scores.argmax(1) == labels).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--calibration", type=int, default=1000, metavar="N", help="images to calibrate with (default: %(default)s)")
    parser.add_argument("--judge", type=int, default=2500, metavar="N", help="images that lead the search (default: %(default)s)")
    parser.add_argument("--test", type=int, metavar="N", help="others to judge the result on (default: all that are left)")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR")
    args = parser.parse_args()
    with np.load(args.data / "cifar10.npz") as archive:
        calibration, images, labels = archive["calib_x"][:args.calibration], archive["test_x"], archive["test_y"]

    def top1(model):
        return accuracy(model, images[:args.judge], labels[:args.judge])

    result = dnateq.quantize(args.data / "resnet20.onnx", batches(calibration, 1), metric=top1, max_loss=0.01, emit="both")

    # Judged once more, on images that led no search.
    import openvino as ov
    others = slice(args.judge, None if args.test is None else args.judge + args.test)
    f32 = {"INFERENCE_PRECISION_HINT": "f32"}
    bits = result.summary
    print(f"{bits['weights']['stored_bits']:.2f} bits a weight, {bits['activations']['stored_bits']:.2f} an activation; "
          f"{bits['bytes']['fp32'] / 1e3:.0f} kB became {bits['bytes']['file'] / 1e3:.0f} kB")
    for name, model in (("FP32", args.data / "resnet20.onnx"), ("cpu", result.model), ("exact", result.exact_model)):
        print(f"{name:<6} {100 * accuracy(ov.compile_model(model, 'CPU', f32), images[others], labels[others]):.2f} %")
    if args.output:
        print(f"saved in {result.save(args.output)}")


if __name__ == "__main__":
    main()
