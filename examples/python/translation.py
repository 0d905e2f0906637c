#!/usr/bin/env python3
"""Translation with encoder, decoder and KV cache: both quantized under one metric, BLEU.

DATA is a folder with encoder.onnx, decoder.onnx, spm.model and the texts calib.en, val.en, val.de, test2016.en and
test2016.de. Needs sacrebleu and sentencepiece (requirements-examples.txt).

    python examples/python/translation.py DATA -o translation-quantized
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import sacrebleu

import dnateq

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "translation"))
from transformer import BOS, Transformer, read_lines  # noqa: E402


def encoder_calls(network, sentences):
    for sentence in sentences:
        yield {"src": network.source_ids([sentence])}


def decoder_calls(network, sentences):
    """One call a sentence with its whole translation: it sees what decoding token by token would."""
    for sentence in sentences:
        tokens = np.array([[BOS, *network.greedy([sentence])[0]]], np.int64)
        yield {"tgt": tokens, **network.encode(network.source_ids([sentence])), **network.empty_past(1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--calibration", type=int, default=512, metavar="N", help="sentences of calib.en (default: %(default)s)")
    parser.add_argument("--sentences", type=int, default=1000, metavar="N", help="to judge on (default: %(default)s)")
    parser.add_argument("--target-bits", type=float, nargs=2, default=(4, 5), metavar="BITS",
                        help="of weights and activations (default: 4 5)")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR")
    args = parser.parse_args()
    files = {name: args.data / f"{name}.onnx" for name in ("encoder", "decoder")}
    fp32 = Transformer(files["encoder"], files["decoder"], args.data / "spm.model")
    text = read_lines(args.data / "calib.en", args.calibration)

    def score(models, name):
        source, target = (read_lines(args.data / f"{name}.{language}", args.sentences) for language in ("en", "de"))
        network = Transformer(models["encoder"], models["decoder"], args.data / "spm.model")
        return sacrebleu.corpus_bleu(network.translate(source), [target]).score

    def bleu(models):
        return score(models, "val")

    results = dnateq.quantize_many(files, {"encoder": encoder_calls(fp32, text), "decoder": decoder_calls(fp32, text)},
                                   metric=bleu, target_bits=tuple(args.target_bits), emit="both")
    for name, result in results.items():
        summary = result.summary
        print(f"{name:<8} {summary['bytes']['fp32'] / 1e6:.1f} MB became {summary['bytes']['file'] / 1e6:.1f} MB: "
              f"{summary['weights']['stored_bits']:.2f} bits a weight, {summary['activations']['stored_bits']:.2f} an activation")
    # Judged once more, on sentences that led no search.
    models = {"FP32": files, "cpu": {name: result.model for name, result in results.items()},
              "exact": {name: result.exact_model for name, result in results.items()}}
    for name, pair in models.items():
        print(f"BLEU {name:<6} {score(pair, 'test2016'):.2f}")
    if args.output:
        print(f"saved in {results.save(args.output)}")


if __name__ == "__main__":
    main()
