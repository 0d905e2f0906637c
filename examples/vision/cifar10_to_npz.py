#!/usr/bin/env python3
"""CIFAR-10 as uint8 arrays -> the .npz files that dnateq reads, normalised for one network.

ARCHIVE holds calib_x, calib_y, test_x, test_y: uint8, images [n, 32, 32, 3]. Written into DIR, `input` float32 [n, 3, 32, 32]:
    calibration.npz                            calib_x
    validation.npz, validation_labels.npy      the first --validation images of the test set, for the search to judge by
    test.npz, test_labels.npy                  the rest, that neither calibration nor search sees

example:
    cifar10_to_npz.py cifar10.npz -o cifar10 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
    dnateq quantize resnet20.onnx --calibration cifar10/calibration.npz --validation cifar10/validation.npz \\
        --labels cifar10/validation_labels.npy --metric top1 --max-drop 1% -o out/resnet20
    dnateq eval out/resnet20/exact/model.xml --data cifar10/test.npz --labels cifar10/test_labels.npy --metric top1
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from npz_io import save_npz  # noqa: E402


def three_floats(text):
    values = np.array([float(x) for x in text.split(",")], np.float32)
    if values.size != 3:
        raise argparse.ArgumentTypeError("three numbers, comma-separated")
    return values


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, metavar="ARCHIVE")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--mean", type=three_floats, default="0.485,0.456,0.406", help="of RGB/255 (default: %(default)s)")
    parser.add_argument("--std", type=three_floats, default="0.229,0.224,0.225", help="of RGB/255 (default: %(default)s)")
    parser.add_argument("--input", default="input", metavar="NAME", help="the model's input (default: %(default)s)")
    parser.add_argument("--calibration", type=int, default=2000, metavar="N", help="images of calib_x (default: %(default)s)")
    parser.add_argument("--validation", type=int, default=2500, metavar="N", help="images of test_x (default: %(default)s)")
    args = parser.parse_args()

    with np.load(args.archive) as archive:
        calibration, images, labels = archive["calib_x"], archive["test_x"], archive["test_y"].astype(np.int64)

    def save(name, pixels):
        pixels = (pixels.astype(np.float32) / 255 - args.mean) / args.std
        save_npz(args.output / name, {args.input: np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))})

    save("calibration.npz", calibration[:args.calibration])
    for name, part in (("validation", slice(0, args.validation)), ("test", slice(args.validation, None))):
        save(f"{name}.npz", images[part])
        np.save(args.output / f"{name}_labels.npy", labels[part])
    print(f"{args.output}: {len(calibration[:args.calibration])} images to calibrate, {len(labels[:args.validation])} to validate, "
          f"{len(labels[args.validation:])} to test")


if __name__ == "__main__":
    main()
