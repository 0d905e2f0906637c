#!/usr/bin/env python3
"""Talks to a language model's folder: OpenVINO GenAI does the work. `dnateq chat DIR` starts it.

    .venv/bin/python tools/chat.py DIR --extension build/release/lib/libdnateq_openvino.so
"""

import argparse
import sys
from pathlib import Path


def sentence(error):
    return " ".join(str(error).split()).rstrip(".")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--extension", metavar="FILE", help="dnateq's operations")
    parser.add_argument("--prompt", help="answer this and end")
    parser.add_argument("--tokens", type=int, default=256, metavar="N", help="of an answer, at most (default: %(default)s)")
    args = parser.parse_args()
    try:
        import openvino_genai
    except ImportError:
        sys.exit("dnateq: the package openvino-genai is not installed; install requirements-language.txt with pip")
    try:
        pipeline = openvino_genai.LLMPipeline(args.folder, "CPU", extensions=[args.extension] if args.extension else [])
    except RuntimeError as error:
        sys.exit(f"dnateq: '{args.folder}' cannot be loaded ({sentence(error)}); is it the whole folder of a language model?")
    config = pipeline.get_generation_config()
    config.max_new_tokens = args.tokens

    def answer(history):
        def show(piece):
            print(piece, end="", flush=True)
            return openvino_genai.StreamingStatus.RUNNING

        result = pipeline.generate(history, config, show)
        metrics = result.perf_metrics
        print(f"\n[{metrics.get_num_generated_tokens()} tokens, first after {metrics.get_ttft().mean / 1e3:.2f} s, "
              f"then {metrics.get_throughput().mean:.1f} a second]", file=sys.stderr)
        return result.texts[0]

    history = openvino_genai.ChatHistory()
    if args.prompt:
        history.append({"role": "user", "content": args.prompt})
        answer(history)
        return
    print("Write a line; an empty one ends.", file=sys.stderr)
    while True:
        try:
            line = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            break
        if not line:
            break
        history.append({"role": "user", "content": line})
        history.append({"role": "assistant", "content": answer(history)})


if __name__ == "__main__":
    main()
