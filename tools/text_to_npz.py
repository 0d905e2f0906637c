#!/usr/bin/env python3
"""Turn a text file, one sentence a line, into model inputs that dnateq reads: token ids in .npz files.

TOKENIZER is a Hugging Face tokenizer.json (needs the PyPI package `tokenizers`) or a SentencePiece .model file
(needs `sentencepiece`).

--ragged (default) writes a folder with one .npz for the sentences of each length, no padding anywhere:
    DIR/length-012.npz       input_ids int64 [n, 12], attention_mask int64 [n, 12], ...
--pad writes one file, DIR/padded.npz, padded to the longest sentence, in the order of the text. Prefer --ragged for
calibration: padding tokens would be counted among the values that the network sees.

examples:
    text_to_npz.py sentences.txt tokenizer.json -o calibration
    text_to_npz.py sentences.txt tokenizer.json -o calibration --inputs input_ids,attention_mask,token_type_ids
    text_to_npz.py source.txt spm.model -o calibration --inputs src=ids --suffix-ids 2
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from npz_io import save_npz

KINDS = {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "types"}


def parse_inputs(text):
    """`name` or `name=ids|mask|types`, comma-separated -> {name: kind}."""
    inputs = {}
    for item in text.split(","):
        name, _, kind = item.strip().partition("=")
        kind = kind or KINDS.get(name, "")
        if kind not in KINDS.values():
            raise SystemExit(f"text_to_npz: --inputs: say what '{name}' holds: {name}=ids, {name}=mask or {name}=types")
        inputs[name] = kind
    return inputs


def load_tokenizer(path, max_length, prefix, suffix):
    """Returns a function: sentence -> (ids, types), with prefix and suffix added, at most max_length long."""
    room = max_length - len(prefix) - len(suffix) if max_length else None
    if room is not None and room < 1:
        raise SystemExit("text_to_npz: --max-length leaves no room for a token")
    if path.suffix == ".json":
        import tokenizers

        tokenizer = tokenizers.Tokenizer.from_file(str(path))
        tokenizer.no_padding()  # a tokenizer.json may carry padding and truncation of its own
        tokenizer.no_truncation()
        if room:
            tokenizer.enable_truncation(room)  # keeps the special tokens at the end

        def encode(sentence):
            encoding = tokenizer.encode(sentence)
            return prefix + encoding.ids + suffix, [0] * len(prefix) + encoding.type_ids + [0] * len(suffix)

    else:
        import sentencepiece

        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))

        def encode(sentence):
            ids = prefix + processor.encode(sentence)[:room] + suffix
            return ids, [0] * len(ids)

    return encode


def make_arrays(inputs, samples, width, pad_id, dtype):
    """samples: [(ids, types)] -> {name: [len(samples), width]}, filled up with pad_id (ids) and 0 (mask, types)."""
    arrays = {name: np.full((len(samples), width), pad_id if kind == "ids" else 0, dtype)
              for name, kind in inputs.items()}
    for row, (ids, types) in enumerate(samples):
        for name, kind in inputs.items():
            arrays[name][row, :len(ids)] = {"ids": ids, "mask": 1, "types": types}[kind]
    return arrays


def id_list(text):
    return [int(x) for x in text.split(",") if x]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, metavar="TEXT", help="UTF-8, one sentence a line; empty lines are skipped")
    parser.add_argument("tokenizer", type=Path, metavar="TOKENIZER", help="tokenizer.json or SentencePiece .model")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder to write (must be new or empty of .npz)")
    parser.add_argument("--inputs", type=parse_inputs, default="input_ids,attention_mask", metavar="NAME[=KIND],...",
                        help="the model's inputs and what each holds: ids, mask or types (default: %(default)s)")
    parser.add_argument("--max-length", type=int, default=128, metavar="N", help="cut longer sentences (default: %(default)s)")
    layout = parser.add_mutually_exclusive_group()
    layout.add_argument("--ragged", action="store_true", help="one file a length, no padding (default)")
    layout.add_argument("--pad", action="store_true", help="one padded file, order of the text kept")
    parser.add_argument("--pad-id", type=int, default=0, metavar="ID", help="token id of padding (default: %(default)s)")
    parser.add_argument("--prefix-ids", type=id_list, default=[], metavar="ID,...", help="ids put before each sentence")
    parser.add_argument("--suffix-ids", type=id_list, default=[], metavar="ID,...",
                        help="ids put after each sentence, e.g. the end-of-sentence id that SentencePiece leaves out")
    parser.add_argument("--dtype", choices=["int64", "int32"], default="int64", help="element type (default: %(default)s)")
    args = parser.parse_args()

    for path in (args.text, args.tokenizer):
        if not path.is_file():
            raise SystemExit(f"text_to_npz: {path}: no such file")
    if args.output.is_dir() and any(args.output.glob("*.npz")):
        raise SystemExit(f"text_to_npz: {args.output} holds .npz files already: remove them or choose another folder")

    sentences = [line.strip() for line in args.text.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not sentences:
        raise SystemExit(f"text_to_npz: {args.text}: no sentences")
    encode = load_tokenizer(args.tokenizer, args.max_length, args.prefix_ids, args.suffix_ids)
    samples = [encode(sentence) for sentence in sentences]
    dtype = np.dtype(args.dtype)
    if args.pad:
        width = max(len(ids) for ids, _ in samples)
        save_npz(args.output / "padded.npz", make_arrays(args.inputs, samples, width, args.pad_id, dtype))
        files = 1
    else:
        groups = defaultdict(list)
        for sample in samples:
            groups[len(sample[0])].append(sample)
        for width, group in sorted(groups.items()):
            save_npz(args.output / f"length-{width:03d}.npz", make_arrays(args.inputs, group, width, args.pad_id, dtype))
        files = len(groups)
    tokens = sum(len(ids) for ids, _ in samples)
    print(f"{args.output}: {len(samples)} sentences, {tokens} tokens, {files} file{'s' if files > 1 else ''}")


if __name__ == "__main__":
    sys.exit(main())
