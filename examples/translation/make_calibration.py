#!/usr/bin/env python3
"""Calibration inputs for the translation Transformer's encoder and decoder, from sentences, by the FP32 networks.

Writes, one .npz a sentence (batch 1, nothing padded):
    DIR/encoder/0000.npz   src [1, s]
    DIR/decoder/0000.npz   tgt [1, t], src_mask, cross_k_*, cross_v_*, past_* (length 0)
    DIR/pipeline/0000.npz  src, tgt, past_*: for the two joined by pipeline.py
The decoder's call holds the whole target, so it sees in one call all values that decoding step by step would give it
(--check proves that the logits agree). The target is the greedy translation, or with --target the human one.

example:
    make_calibration.py --encoder encoder.onnx --decoder decoder.onnx --spm spm.model --source calib.en \\
        --target calib.de -o calibration
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from transformer import BOS, Transformer, read_lines

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from npz_io import save_npz  # noqa: E402


def step_by_step_difference(network, target, context):
    """Largest difference between the logits of one call and those of decoding token by token."""
    whole = network.decode(target, context, network.empty_past(1))[0].copy()
    past, worst = network.empty_past(1), 0.0
    for step in range(target.shape[1]):
        logits, past = network.decode(target[:, step:step + 1], context, past)
        worst = max(worst, float(np.abs(logits[0, 0] - whole[0, step]).max()))
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("encoder", "decoder", "spm", "source"):
        parser.add_argument(f"--{name}", required=True, metavar="FILE")
    parser.add_argument("--target", metavar="FILE", help="translations to feed (default: the network's own, greedy)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N sentences")
    parser.add_argument("--check", action="store_true", help="compare with decoding step by step on the first sentences")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    args = parser.parse_args()

    network = Transformer(args.encoder, args.decoder, args.spm)
    source = read_lines(args.source, args.limit)
    if args.target:
        targets = [network.pieces.encode(line) for line in read_lines(args.target, args.limit)]
        if len(targets) != len(source):
            parser.error(f"{len(source)} source sentences, but {len(targets)} targets")
    else:
        targets = [ids for line in source for ids in network.greedy([line])]

    worst = 0.0
    for number, (line, target) in enumerate(zip(source, targets)):
        ids = network.source_ids([line])
        context = network.encode(ids)
        tgt = np.array([[BOS, *target]], np.int64)
        save_npz(args.output / "encoder" / f"{number:04d}.npz", {"src": ids})
        past = network.empty_past(1)
        save_npz(args.output / "decoder" / f"{number:04d}.npz", {"tgt": tgt, **context, **past})
        save_npz(args.output / "pipeline" / f"{number:04d}.npz", {"src": ids, "tgt": tgt, **past})
        if args.check and number < 20:
            worst = max(worst, step_by_step_difference(network, tgt, context))
    print(f"{args.output}: {len(source)} sentences, {sum(map(len, targets)) + len(targets)} target tokens")
    if args.check:
        print(f"one call against step by step: largest difference of a logit {worst:.2g}")


if __name__ == "__main__":
    main()
