"""Small random language models of optimum-intel's layout, saved as its folders are, with a tokenizer whose tokens are bytes.

The names of what tells architectures apart are those of src/graph/test_language_model.h.
"""

import json

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino import opset15
from openvino.op import util

BEGIN, END, VOCABULARY = 256, 257, 272
WIDTH, HEADS, HIDDEN, LAYERS = 64, 4, 96, 2
SIZE = WIDTH // HEADS

ARCHITECTURES = {
    "Llama": {},
    "Llama untied": {"tied": False},
    "Qwen2": {"qkv_bias": True},
    "Qwen3": {"qk_norm": True},
    "Phi-3": {"fused": True, "tied": False},
    "GPT-2": {"gpt2": True, "kv_heads": 4},
    "Gemma": {"gemma": True},
    "MoE": {"experts": 4},
    "u4": {"bits": 4},
    "u8": {"bits": 8},
}


def integers(*values):
    return ops.constant(np.array(values, np.int64))


def scalar(value):
    return ops.constant(np.array(value, np.int64 if isinstance(value, int) else np.float32))


class Maker:
    def __init__(self, tied=True, qkv_bias=False, qk_norm=False, fused=False, gpt2=False, gemma=False, experts=0, bits=0, kv_heads=2):
        self.tied, self.qkv_bias, self.qk_norm, self.fused, self.gpt2, self.gemma = tied, qkv_bias, qk_norm, fused, gpt2, gemma
        self.experts, self.bits, self.kv_heads = experts, bits, kv_heads
        self.random = np.random.default_rng(7)
        self.sinks = []
        self.layer = 0

    def values(self, *shape, sigma=None):
        return (self.random.standard_normal(shape) * (sigma or 1 / np.sqrt(shape[-1]))).astype(np.float32)

    def weights(self, rows, columns):
        w = self.values(rows, columns)
        if not self.bits:
            return ops.constant(w)
        w = w.reshape(rows, -1, 16)
        low, high = w.min(2, keepdims=True), w.max(2, keepdims=True)
        most = 2**self.bits - 1
        scale = (high - low) / most
        zero = np.round(-low / scale)
        kind = {2: ov.Type.u2, 4: ov.Type.u4, 8: ov.Type.u8}[self.bits]
        codes = [ops.convert(packed(np.clip(c, 0, most), kind), np.float32) for c in (np.round(w / scale) + zero, zero)]
        scaled = ops.multiply(ops.subtract(*codes), ops.constant(scale.astype(np.float32)))
        return ops.reshape(scaled, integers(rows, columns), False)

    def linear(self, name, x, rows, columns, bias=False):
        y = ops.matmul(x, self.weights(rows, columns), False, True, name=f"model.layers.{self.layer}.{name}")
        return ops.add(y, ops.constant(self.values(1, 1, rows, sigma=0.1))) if bias else y

    def rms_norm(self, x, *shape):
        root = ops.sqrt(ops.add(ops.reduce_mean(ops.power(x, scalar(2.0)), integers(-1), True), scalar(1e-5)))
        gain = 1 + self.values(*shape, sigma=0.3)
        return ops.multiply(ops.constant(gain), ops.multiply(x, ops.divide(scalar(1.0), root)))

    def norm(self, x):
        if not self.gpt2:
            return self.rms_norm(x, 1, 1, WIDTH)
        normalized = ops.mvn(x, integers(-1), True, 1e-5, "inside_sqrt")
        gained = ops.multiply(normalized, ops.constant(1 + self.values(WIDTH, sigma=0.1)))
        return ops.add(gained, ops.constant(self.values(WIDTH, sigma=0.1)))

    def after_block(self, y):
        return self.rms_norm(y, 1, 1, WIDTH) if self.gemma else y

    def rotary(self, x):
        if self.gpt2:
            return x

        def part(begin, end):
            return ops.slice(x, integers(begin), integers(end), integers(1), integers(-1))

        turned = ops.concat([ops.multiply(part(SIZE // 2, SIZE), scalar(-1.0)), part(0, SIZE // 2)], -1)
        return ops.add(ops.multiply(x, self.cos), ops.multiply(turned, self.sin))

    def by_head(self, x, heads, normalized=False):
        split = ops.reshape(x, integers(0, 0, heads, SIZE), True)
        if normalized:
            split = self.rms_norm(split, 1, 1, 1, SIZE)
        return ops.transpose(split, integers(0, 2, 1, 3))

    def cached(self, now, name):
        info = util.VariableInfo()
        info.data_shape = ov.PartialShape([-1, self.kv_heads, -1, SIZE])
        info.data_type = ov.Type.f32
        info.variable_id = f"past_key_values.{self.layer}.{name}present.{self.layer}.{name}"
        variable = util.Variable(info)
        empty = ops.broadcast(scalar(0.0), ops.concat([self.batch, integers(self.kv_heads, 0, SIZE)], 0))
        read = ops.read_value(empty, variable)
        joined = ops.concat([ops.gather(read, self.beam_idx, scalar(0)), now], -2)
        self.sinks.append(ops.assign(joined, variable))
        return joined

    def for_all_heads(self, x):
        if self.kv_heads == HEADS:
            return x
        length = ops.gather(ops.shape_of(x), integers(2), scalar(0))
        shape = ops.concat([self.batch, integers(self.kv_heads, HEADS // self.kv_heads), length, integers(SIZE)], 0)
        wide = ops.broadcast(ops.unsqueeze(x, integers(2)), shape, broadcast_spec="BIDIRECTIONAL")
        return ops.reshape(wide, integers(0, HEADS, -1, SIZE), True)

    def attention(self, x):
        kv, bias = self.kv_heads * SIZE, self.qkv_bias or self.gpt2
        if self.fused:
            joined = self.linear("self_attn.qkv_proj", x, WIDTH + 2 * kv, WIDTH)
            q, k, v = ops.variadic_split(joined, scalar(2), integers(WIDTH, kv, kv)).outputs()
        else:
            q, k, v = (self.linear(f"self_attn.{n}_proj", x, rows, WIDTH, bias) for n, rows in (("q", WIDTH), ("k", kv), ("v", kv)))
        q = self.rotary(self.by_head(q, HEADS, self.qk_norm))
        k = self.for_all_heads(self.cached(self.rotary(self.by_head(k, self.kv_heads, self.qk_norm)), "key"))
        v = self.for_all_heads(self.cached(self.by_head(v, self.kv_heads), "value"))
        mixed = ops.scaled_dot_product_attention(q, k, v, self.mask, causal=False)
        rows = ops.reshape(ops.transpose(mixed, integers(0, 2, 1, 3)), integers(0, 0, WIDTH), True)
        return self.linear("self_attn.o_proj", rows, WIDTH, WIDTH, self.gpt2)

    def swiglu(self, x, prefix="mlp"):
        if self.fused:
            both = self.linear(f"{prefix}.gate_up_proj", x, 2 * HIDDEN, WIDTH)
            gate, up = ops.split(both, scalar(2), 2).outputs()
        else:
            gate, up = (self.linear(f"{prefix}.{n}_proj", x, HIDDEN, WIDTH) for n in ("gate", "up"))
        return self.linear(f"{prefix}.down_proj", ops.multiply(ops.swish(gate), up), WIDTH, HIDDEN)

    def mlp(self, x):
        if self.gpt2:
            return self.linear("mlp.c_proj", ops.gelu(self.linear("mlp.c_fc", x, HIDDEN, WIDTH, True), "erf"), WIDTH, HIDDEN, True)
        if not self.experts:
            return self.swiglu(x)
        shares = ops.softmax(self.linear("mlp.router", x, self.experts, WIDTH), 2)
        total = None
        for e in range(self.experts):
            share = ops.slice(shares, integers(e), integers(e + 1), integers(1), integers(-1))
            part = ops.multiply(self.swiglu(x, f"mlp.experts.{e}"), share)
            total = part if total is None else ops.add(total, part)
        return total

    def model(self):
        parameters = [ops.parameter([-1, -1], np.int64, name=n) for n in ("input_ids", "attention_mask", "position_ids")]
        parameters.append(ops.parameter([-1], np.int32, name="beam_idx"))
        for node in parameters:
            node.output(0).set_names({node.get_friendly_name()})
        ids, mask, positions, self.beam_idx = parameters
        self.batch = ops.gather(ops.shape_of(ids), integers(0), scalar(0))
        length, total = (ops.squeeze(ops.gather(ops.shape_of(x), integers(1), scalar(0)), integers(0)) for x in (ids, mask))
        queries = ops.unsqueeze(ops.range(ops.subtract(total, length), total, scalar(1), "i64"), integers(1))
        seen = ops.less_equal(ops.range(scalar(0), total, scalar(1), "i64"), queries)
        self.mask = ops.logical_and(seen, ops.unsqueeze(ops.convert(mask, "boolean"), integers(1, 2)))
        frequencies = (100.0 ** (-np.arange(SIZE // 2) * 2 / SIZE)).astype(np.float32).reshape(1, 1, -1)
        angle = ops.multiply(ops.unsqueeze(ops.convert(positions, np.float32), integers(2)), ops.constant(frequencies))
        both = ops.unsqueeze(ops.concat([angle, angle], -1), integers(1))
        self.cos, self.sin = ops.cos(both), ops.sin(both)
        table = self.weights(VOCABULARY, WIDTH)
        x = ops.gather(table, ids, scalar(0), name="model.embed_tokens")
        if self.gemma:
            x = ops.multiply(x, ops.constant(np.full((1, 1, 1), np.sqrt(WIDTH), np.float32)))
        if self.gpt2:
            x = ops.add(x, ops.gather(self.weights(128, WIDTH), positions, scalar(0), name="wpe"))
        for self.layer in range(LAYERS):
            x = ops.add(x, self.after_block(self.attention(self.norm(x))))
            x = ops.add(x, self.after_block(self.mlp(self.norm(x))))
        head = table if self.tied else self.weights(VOCABULARY, WIDTH)
        # Sharper than random weights make it, so that the likeliest token is likelier than the next.
        logits = ops.matmul(ops.multiply(self.norm(x), scalar(2.0)) if self.gpt2 else self.norm(x), head, False, True, name="lm_head")
        logits.output(0).set_names({"logits"})
        return ov.Model([ops.result(logits)], self.sinks, parameters, "language")


def packed(codes, kind):
    """A constant of integers below a byte: OpenVINO packs the first into the lowest bits."""
    bits = {ov.Type.u2: 2, ov.Type.u4: 4, ov.Type.u8: 8}[kind]
    flat = codes.astype(np.uint8).reshape(-1)
    flat = np.pad(flat, (0, -flat.size % (8 // bits))).reshape(-1, 8 // bits)
    shifts = np.arange(8 // bits, dtype=np.uint8) * bits
    data = np.bitwise_or.reduce(flat << shifts, axis=1).astype(np.uint8)
    tensor = ov.Tensor(kind, ov.Shape(codes.shape))  # of its own memory: one around `data` would outlive it
    tensor.data[:] = data.reshape(tensor.data.shape)
    return ops.constant(tensor)


def tokenizer():
    text = ops.parameter([-1], ov.Type.string, name="text")
    symbols = opset15.string_tensor_unpack(text).output(2)
    ids = ops.unsqueeze(ops.concat([integers(BEGIN), ops.convert(symbols, np.int64)], 0), integers(0))
    ids.output(0).set_names({"input_ids"})
    mask = ops.broadcast(integers(1), ops.shape_of(ids))
    mask.output(0).set_names({"attention_mask"})
    return ov.Model([ops.result(ids), ops.result(mask)], [text], "tokenizer")


def detokenizer():
    """Bytes again; what is none is the last byte."""
    ids = ops.parameter([-1, -1], np.int64, name="ids")
    shape = ops.convert(ops.shape_of(ids), np.int32)
    rows, length = (ops.gather(shape, scalar(axis), integers(0)) for axis in (0, 1))
    zero, one = (ops.constant(np.array(value, np.int32)) for value in (0, 1))
    begins = ops.multiply(ops.range(zero, rows, one, output_type=ov.Type.i32), length)
    symbols = ops.convert(ops.reshape(ops.minimum(ids, integers(255)), integers(-1), False), np.uint8)
    text = opset15.string_tensor_pack(begins, ops.add(begins, length), symbols)
    text.output(0).set_names({"string_output"})
    return ov.Model([ops.result(text)], [ids], "detokenizer")


# Files that pipelines read beside the networks; what is in them nobody here reads.
COMPANIONS = {"config.json": {"model_type": "llama", "vocab_size": VOCABULARY},
              "generation_config.json": {"bos_token_id": BEGIN, "eos_token_id": END}, "tokenizer_config.json": {}, "openvino_config.json": {}}


def save_folder(folder, half=False, **options):
    """Returns the folder, with all that optimum-intel puts into it."""
    folder.mkdir(parents=True)
    ov.save_model(Maker(**options).model(), folder / "openvino_model.xml", compress_to_fp16=half)
    for model in (tokenizer(), detokenizer()):
        ov.save_model(model, folder / f"openvino_{model.get_friendly_name()}.xml", compress_to_fp16=False)
    for name, content in COMPANIONS.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return folder
