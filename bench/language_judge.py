#!/usr/bin/env python3
"""Language models beside their source on a text, as `dnateq eval --reference` judges them, for files that OpenVINO does not run.

    language_judge.py smollm2 --text evaluation.txt q4_0.gguf q4_k_m.gguf

The source is a folder of OpenVINO's, computed in float32. A form is a GGUF, run by llama.cpp, or another such folder. Windows, tokens and
the positions that count are those of `dnateq eval`. Printed is a line of JSON for each form, with eval's fields; intervals are by
bootstrap over windows, with other random numbers than eval's. Needs openvino and openvino-tokenizers, and for GGUF files what
tools/llama_cpp.sh installs.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import openvino as ov
from gguf_network import GgufNetwork, missing

PIECE = 2048  # bytes that are made tokens at once, to the end of their line, as src/graph/tokenizer.cc does it
DRAWS = 2000
ROWS = 16  # of logits at once, which a cache holds
EXACT = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}


def pieces_of(text):
    begin = 0
    while begin < len(text):
        end = text.find(b"\n", min(begin + PIECE, len(text)))
        end = len(text) if end < 0 else end + 1
        yield text[begin:end].decode()
        begin = end


def windows_of(folder, text, context, most):
    """[windows, context] of token ids: evenly over the text, each with the tokens that any text begins with."""
    import openvino_tokenizers  # noqa: F401 (the operations of tokenizers)

    tokenizer = ov.Core()
    tokenizer.add_extension(openvino_tokenizers._ext_path)
    compiled = tokenizer.compile_model(folder / "openvino_tokenizer.xml", "CPU")

    def ids_of(piece):
        return compiled([piece])["input_ids"][0].astype(np.int64)

    first, second = ids_of("a"), ids_of(".")
    before = next((i for i, (a, b) in enumerate(zip(first, second)) if a != b), 0)
    behind = next((i for i, (a, b) in enumerate(zip(first[::-1], second[::-1])) if a != b), 0)
    tokens = np.concatenate([ids[before:len(ids) - behind] for ids in map(ids_of, pieces_of(text))])
    prefix = first[:min(before, 1)]
    step = context - len(prefix)
    count = len(tokens) // step
    if count == 0:
        raise ValueError(f"the text holds {len(tokens)} tokens, which fill no window of {context}; give a longer one")
    wanted = min(most, count) if most else count
    starts = [w * count // wanted * step for w in range(wanted)]
    return np.stack([np.concatenate([prefix, tokens[start:start + step]]) for start in starts])


class FolderNetwork:
    def __init__(self, folder, extension=None):
        core = ov.Core()
        if extension:
            core.add_extension(extension)
        self._request = core.compile_model(folder / "openvino_model.xml", "CPU", EXACT).create_infer_request()

    def logits(self, ids):
        self._request.reset_state()
        inputs = {"input_ids": ids[None], "attention_mask": np.ones((1, len(ids)), np.int64),
                  "position_ids": np.arange(len(ids), dtype=np.int64)[None], "beam_idx": np.zeros(1, np.int32)}
        return self._request.infer(inputs)["logits"][0]


def log_probabilities(logits):
    logits = logits.astype(np.float64)
    logits -= logits.max(-1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    return logits


def judge(ids, source, forms):
    """For each of the forms' logits, by token: what eval knows of a window. The last row predicts what the window does not hold."""
    rows = [[] for _ in forms]
    for begin in range(0, len(ids) - 1, ROWS):
        block = slice(begin, min(begin + ROWS, len(ids) - 1))
        log_p = log_probabilities(source[block])
        p, at, next_ids = np.exp(log_p), np.arange(len(log_p)), ids[block.start + 1:block.stop + 1]
        for logits, found in zip(forms, rows):
            log_q = log_probabilities(logits[block])
            kl = np.maximum((p * (log_p - log_q)).sum(-1), 0)
            found.append({"loss": -log_q[at, next_ids], "reference_loss": -log_p[at, next_ids], "kl": kl,
                          "same_top": (log_p.argmax(-1) == log_q.argmax(-1)).astype(float)})
    return [{key: np.concatenate([block[key] for block in found]) for key in found[0]} for found in rows]


def summary(windows, context):
    draws = np.random.default_rng(1).integers(len(windows), size=(DRAWS, len(windows)))

    def mean(key, transform=lambda x: x):
        # All windows have the same number of tokens.
        means = np.array([window[key].mean() for window in windows])
        resampled = np.sort(transform(means[draws].mean(1)))
        return {"value": float(transform(means.mean())), "interval": [float(resampled[DRAWS // 40]), float(resampled[-1 - DRAWS // 40])]}

    every = np.sort(np.concatenate([window["kl"] for window in windows]))
    return {"windows": len(windows), "context": context, "tokens": len(every), "perplexity": mean("loss", np.exp),
            "reference": {"perplexity": mean("reference_loss", np.exp), "kl": mean("kl"),
                          "kl_99": float(every[int(0.99 * (len(every) - 1))]), "kl_999": float(every[int(0.999 * (len(every) - 1))]),
                          "same_top": mean("same_top")}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="FOLDER")
    parser.add_argument("forms", type=Path, nargs="+", metavar="FORM")
    parser.add_argument("--text", type=Path, required=True, metavar="FILE")
    parser.add_argument("--context", type=int, default=512, metavar="N", help="tokens of a window (default: %(default)s)")
    parser.add_argument("--windows", type=int, default=16, metavar="N", help="0: all (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of llama.cpp (default: %(default)s)")
    parser.add_argument("--extension", metavar="FILE", help="libdnateq_openvino.so, for folders that need it")
    args = parser.parse_args()
    try:
        if any(form.is_file() for form in args.forms) and (why := missing()) is not None:
            raise ValueError(why)
        windows = windows_of(args.source, args.text.read_bytes(), args.context, args.windows)
        source = FolderNetwork(args.source)
        networks = [FolderNetwork(form, args.extension) if form.is_dir() else
                    GgufNetwork(form, args.context, args.threads, exact_state=True) for form in args.forms]
        judged = [[] for _ in networks]
        for ids in windows:
            wanted = source.logits(ids)
            got = [network.logits(ids) for network in networks]
            if any(logits.shape != wanted.shape for logits in got):
                raise ValueError(f"the source has logits of shape {wanted.shape}, and the forms {[logits.shape for logits in got]}")
            for found, window in zip(judged, judge(ids, wanted, got)):
                found.append(window)
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"language_judge: {' '.join(str(error).split())}")
    for form, found in zip(args.forms, judged):
        print(json.dumps({"form": str(form), **summary(found, args.context)}))


if __name__ == "__main__":
    main()
