#!/usr/bin/env python3
"""BLEU of a translation Transformer, greedy: the last line printed is the figure, as `dnateq --metric command:` wants it.

MODEL... are the networks under test (OpenVINO IR or ONNX); each takes the place of --encoder or --decoder, told apart by
its inputs (a decoder has `tgt`). So dnateq can append the path of the network that it quantizes.

example: quantize the decoder, judge it by BLEU together with the FP32 encoder
    dnateq quantize decoder.onnx --calibration calibration/decoder -o out/decoder --metric "command:python \\
        examples/translation/bleu.py --encoder encoder.onnx --spm spm.model --source val.en --reference val.de"

Every option may come from the environment instead: BLEU_ENCODER, BLEU_DECODER, BLEU_SPM, BLEU_SOURCE, BLEU_REFERENCE, and
DNATEQ_EXTENSION for the library of dnateq's own ops that `exact` networks need.
"""

import argparse
import os
import sys
import time

import openvino as ov
import sacrebleu

from transformer import Transformer, read_lines


def is_decoder(path):
    # Raw XML will do for IR; its own ops could not be read without the extension.
    if str(path).endswith(".xml"):
        with open(path, encoding="utf-8") as file:
            return '"tgt"' in file.read()
    return any("tgt" in port.names for port in ov.Core().read_model(path).inputs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="network(s) under test")
    for name, text in [("encoder", "encoder used unless a MODEL is one"), ("decoder", "decoder used unless a MODEL is one"),
                       ("spm", "SentencePiece model"), ("source", "source sentences"), ("reference", "their translations")]:
        parser.add_argument(f"--{name}", default=os.environ.get(f"BLEU_{name.upper()}"), metavar="FILE", help=text)
    parser.add_argument("--extension", default=os.environ.get("DNATEQ_EXTENSION"), metavar="FILE", help="libdnateq_openvino.so")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N sentences")
    parser.add_argument("--batch", type=int, default=50, metavar="N", help="sentences a call (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="default: OpenVINO's choice")
    parser.add_argument("--output", metavar="FILE", help="write the translations there")
    args = parser.parse_args()

    for model in args.models:
        setattr(args, "decoder" if is_decoder(model) else "encoder", model)
    for name in ("encoder", "decoder", "spm", "source", "reference"):
        path = getattr(args, name)
        if not path:
            parser.error(f"--{name} is missing (or set BLEU_{name.upper()})")
        if not os.path.isfile(path):
            parser.error(f"--{name}: {path}: no such file")

    start = time.monotonic()
    source, reference = read_lines(args.source, args.limit), read_lines(args.reference, args.limit)
    if len(source) != len(reference):
        parser.error(f"{len(source)} source sentences, but {len(reference)} references")
    network = Transformer(args.encoder, args.decoder, args.spm, args.extension, args.threads)
    translations = network.translate(source, args.batch)
    if args.output:
        with open(args.output, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in translations)
    score = sacrebleu.corpus_bleu(translations, [reference])
    print(f"{score}, {len(source)} sentences, {time.monotonic() - start:.0f} s", file=sys.stderr)
    print(f"{score.score:.6f}")


if __name__ == "__main__":
    main()
