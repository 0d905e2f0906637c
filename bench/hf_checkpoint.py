#!/usr/bin/env python3
"""A Llama-like GGUF as a checkpoint of Hugging Face's in FP16, which ONNX Runtime GenAI's builder reads, with a tokenizer.

    hf_checkpoint.py MODEL.gguf OUT

The builder needs PyTorch, so that what it makes is timed but not made by bench/language_speed.py. In an environment of its own:

    python3 -m venv build/onnx-venv
    build/onnx-venv/bin/pip install -r requirements-onnx-genai.txt torch==2.15.0 transformers==5.24.0 onnx-ir==1.1.0 gguf==0.19.0
    build/onnx-venv/bin/python bench/hf_checkpoint.py MODEL.gguf build/language/hf
    build/onnx-venv/bin/python -m onnxruntime_genai.models.builder -i build/language/hf -o build/language/onnx-genai -c build/language/hf \\
        -p int4 -e cpu --extra_options int4_block_size=32 int4_accuracy_level=4
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples/language"))
from gguf_to_openvino import (  # noqa: E402
    ConversionError,
    Gguf,
    configuration,
    file_of,
    generation_configuration,
    module_of,
    rows_as_in_transformers,
)

CONTROL = 3  # the kind of token that no text is read as


def tokenizer_of(gguf):
    """Of GPT-2's kind: what reads and writes text; the builder wants one, timing uses token ids."""
    tokens, kinds = gguf.setting("tokenizer.ggml.tokens"), gguf.setting("tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ", 1)) for merge in gguf.setting("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token, kind in zip(tokens, kinds) if kind == CONTROL])
    return tokenizer


def write(gguf, out):
    out.mkdir(parents=True, exist_ok=True)
    weights = {f"{module_of(name)}.weight": np.ascontiguousarray(
        rows_as_in_transformers(gguf.weights(name), gguf.heads(name)).astype(np.float16)) for name in gguf.tensors}
    save_file(weights, str(out / "model.safetensors"), metadata={"format": "pt"})
    tokenizer_of(gguf).save(str(out / "tokenizer.json"))
    tokens = gguf.setting("tokenizer.ggml.tokens")
    told = {f"{name}_token": tokens[gguf.setting(f"tokenizer.ggml.{key}_token_id")]
            for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown"))}
    for name, content in (("config", configuration(gguf)), ("generation_config", generation_configuration(gguf)),
                          ("tokenizer_config", {"tokenizer_class": "PreTrainedTokenizerFast", **told})):
        (out / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", metavar="GGUF", help="a file, or an installed Python package that ships one")
    parser.add_argument("out", type=Path, metavar="OUT")
    args = parser.parse_args()
    try:
        write(Gguf(file_of(args.gguf)), args.out)
    except ConversionError as error:
        sys.exit(f"hf_checkpoint: {error}")


if __name__ == "__main__":
    main()
