#!/usr/bin/env python3
"""Runs the Python block of README.md on the real network and prints what it prints.

The block runs as it stands, in a folder that has the files it names: the network, and what examples/vision/cifar10_to_npz.py
makes of CIFAR-10. `bench/tables.py --only readme` runs this and writes the output into README.md.

example:
    tools/docs/readme.py --model resnet20.onnx --data cifar10 -o build/readme
"""

import argparse
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def python_block(markdown):
    """The first ```python block of a page."""
    found = re.search(r"^```python\n(.*?)^```", markdown, re.DOTALL | re.MULTILINE)
    if found is None:
        raise ValueError("README.md has no block ```python; give it one, or tools/docs/readme.py another task")
    return found[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, metavar="FILE", help="the network")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="calibration.npz, test.npz, test_labels.npy")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where the block runs")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for file in (args.model, *(args.data / name for name in ("calibration.npz", "test.npz", "test_labels.npy"))):
        if not file.is_file():
            sys.exit(f"readme: there is no file '{file}'")
        link = args.output / file.name
        link.unlink(missing_ok=True)
        link.symlink_to(file.resolve())
    code = python_block((ROOT / "README.md").read_text())
    os.environ["PYTHONPATH"] = os.pathsep.join(str(Path(path).resolve()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path)
    os.chdir(args.output)
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main()
