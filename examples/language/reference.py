"""The network of a Llama-like GGUF in plain numpy and float32, straight from the file: what a folder that
gguf_to_openvino.py wrote must compute. It keeps the file's order of rows, with the rotation that goes with it (neighbours
rotate together), so that it shares no step with the conversion."""

import pathlib

import numpy as np
from gguf_to_openvino import Gguf


def softmax(values: np.ndarray) -> np.ndarray:
    exponentials = np.exp(values - values.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


class Llama:
    """`fp16` rounds every weight to FP16 first, as the folder does."""

    def __init__(self, path: pathlib.Path, *, fp16: bool = False):
        file = Gguf(path)
        self._weights = {name: file.weights(name) for name in file.tensors}
        if fp16:
            self._weights = {name: values.astype(np.float16).astype(np.float32) for name, values in self._weights.items()}
        self._layers = file.of_network("block_count")
        self._heads = file.of_network("attention.head_count")
        self._kv_heads = file.of_network("attention.head_count_kv", self._heads)
        self._epsilon = np.float32(file.of_network("attention.layer_norm_rms_epsilon"))
        self._base = file.of_network("rope.freq_base", 10000.0)

    def _linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self._weights[f"{name}.weight"].T

    def _norm(self, x: np.ndarray, name: str) -> np.ndarray:
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self._epsilon) * self._weights[f"{name}.weight"]

    def _heads_of(self, x: np.ndarray, heads: int) -> np.ndarray:
        return x.reshape(len(x), heads, -1).swapaxes(0, 1)  # [head, position, width]

    def _rotated(self, x: np.ndarray) -> np.ndarray:
        width = x.shape[-1]
        angles = np.arange(x.shape[1])[:, None] / self._base ** (np.arange(0, width, 2) / width)
        cosine, sine = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        even, odd = x[..., 0::2], x[..., 1::2]
        return np.stack([even * cosine - odd * sine, even * sine + odd * cosine], -1).reshape(x.shape)

    def _attention(self, x: np.ndarray, block: str) -> np.ndarray:
        query = self._rotated(self._heads_of(self._linear(x, f"{block}.attn_q"), self._heads))
        key = self._rotated(self._heads_of(self._linear(x, f"{block}.attn_k"), self._kv_heads))
        value = self._heads_of(self._linear(x, f"{block}.attn_v"), self._kv_heads)
        shared_by = self._heads // self._kv_heads
        key, value = key.repeat(shared_by, 0), value.repeat(shared_by, 0)
        scores = query @ key.swapaxes(1, 2) / np.float32(np.sqrt(query.shape[-1]))
        scores[:, np.triu(np.ones(scores.shape[1:], bool), 1)] = -np.inf
        return self._linear((softmax(scores) @ value).swapaxes(0, 1).reshape(len(x), -1), f"{block}.attn_output")

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """[position, vocabulary] of one sequence."""
        x = self._weights["token_embd.weight"][tokens]
        for layer in range(self._layers):
            block = f"blk.{layer}"
            x = x + self._attention(self._norm(x, f"{block}.attn_norm"), block)
            normed = self._norm(x, f"{block}.ffn_norm")
            gate = self._linear(normed, f"{block}.ffn_gate")
            x = x + self._linear(gate / (1 + np.exp(-gate)) * self._linear(normed, f"{block}.ffn_up"), f"{block}.ffn_down")
        head = "output" if "output.weight" in self._weights else "token_embd"
        return self._linear(self._norm(x, "output_norm"), head)
