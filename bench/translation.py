#!/usr/bin/env python3
"""Tokens a second of translation Transformers, greedy, one sentence at a time: several pairs of encoder and decoder, interleaved.

Every sentence is translated by all pairs in an order shuffled anew, after one untimed sentence each; printed are tokens a second
over all sentences and, sentence by sentence, the median ratio to the first pair's seconds a token (> 1: faster than the first), with
a 95 % bootstrap interval. Pairs may stop at other tokens, so seconds are counted a token.

example:
    bench/translation.py --spm spm.model --source val.en --limit 100 --extension build/release/lib/libdnateq_openvino.so \\
        INT8=int8/encoder.xml,int8/decoder.xml ours=out/encoder.xml,out/decoder.xml
"""

import argparse
import random
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples/translation"))
from transformer import Transformer, read_lines  # noqa: E402


def pair(text):
    name, _, files = text.partition("=")
    encoder, _, decoder = files.partition(",")
    for file in (encoder, decoder):
        if not Path(file).is_file():
            raise argparse.ArgumentTypeError(f"'{text}' isn't NAME=ENCODER,DECODER: there is no file '{file}'")
    return name, encoder, decoder


def interval(ratios, rng, draws=1000):
    medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(draws))
    return medians[draws // 40], medians[-draws // 40]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", type=pair, metavar="NAME=ENCODER,DECODER", help="the first one is the measure")
    parser.add_argument("--spm", required=True, metavar="FILE", help="SentencePiece model")
    parser.add_argument("--source", required=True, metavar="FILE", help="sentences")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="only the first N (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="default: %(default)s")
    parser.add_argument("--extension", metavar="FILE", help="libdnateq_openvino.so")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    rng = random.Random(args.seed)
    sentences = read_lines(args.source, args.limit)
    if not sentences:
        parser.error(f"'{args.source}' holds no sentences")
    networks = {name: Transformer(encoder, decoder, args.spm, args.extension, args.threads)
                for name, encoder, decoder in args.pairs}
    for network in networks.values():
        network.greedy(sentences[:1])
    seconds, tokens = {name: [] for name in networks}, {name: [] for name in networks}
    for sentence in sentences:
        for name in rng.sample(list(networks), len(networks)):
            start = time.perf_counter()
            result = networks[name].greedy([sentence])[0]
            seconds[name].append(time.perf_counter() - start)
            tokens[name].append(len(result) + 1)  # and the end
    first = next(iter(networks))
    print(f"{len(sentences)} sentences, {args.threads} thread{'s' * (args.threads > 1)}")
    print(f"{'pair':24} {'tokens/s':>9} {'speed':>7}  95 %")
    for name in networks:
        ratios = [(seconds[first][i] / tokens[first][i]) / (seconds[name][i] / tokens[name][i]) for i in range(len(sentences))]
        low, high = interval(ratios, rng)
        print(f"{name:24} {sum(tokens[name]) / sum(seconds[name]):9.1f} {statistics.median(ratios):7.3f}  {low:.3f} - {high:.3f}")


if __name__ == "__main__":
    main()
