#!/usr/bin/env python3
"""Networks of well-known shapes with random weights, for speed alone: their accuracy means nothing.

    chain     LAYERS MatMuls of WIDTH x WIDTH with ReLU between, one input `x` [?, WIDTH]
    decoder   Transformer-base decoder at WMT shapes: d 512, 8 heads, ffn 2048, 6 layers, 32,000 words, KV cache as inputs
    alexnet, resnet50
              the ONNX package's light_bvlc_alexnet and light_resnet50, their constant weights filled at random
Each comes with calibration inputs in DIR/calibration (one .npz a call).

example:
    networks.py chain --width 4096 --layers 4 -o out/bench/chain
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """ONNX nodes as they are called; every method gives the name of its output."""

    def __init__(self, rng):
        self.rng, self.nodes, self.initializers, self.inputs, self.outputs = rng, [], [], [], []

    def constant(self, array, name=None):
        name = name or f"constant{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def floats(self, array, name=None):
        return self.constant(np.asarray(array, np.float32), name)

    def node(self, kind, *inputs, name=None, **attributes):
        name = name or f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def value(self, name, dims, kind, output=False):
        info = helper.make_tensor_value_info(name, getattr(TensorProto, kind), dims)
        (self.outputs if output else self.inputs).append(info)
        return name

    def heavy_tailed(self, *shape):
        return self.rng.standard_t(6, shape) * np.sqrt(2 / 3)  # of variance 1, tails as trained weights have

    def linear(self, x, inputs, outputs, name):
        weights = self.floats(self.heavy_tailed(inputs, outputs) * inputs**-0.5, f"{name}/weights")
        bias = self.floats(self.rng.normal(0, 0.02, outputs), f"{name}/bias")
        return self.node("Add", self.node("MatMul", x, weights, name=name), bias)

    def model(self, name):
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def chain(rng, args):
    g = Graph(rng)
    x = g.value("x", ["N", args.width], "FLOAT")
    for i in range(args.layers):
        last = {"name": "y"} if i + 1 == args.layers else {}
        x = g.node("Relu", g.linear(x, args.width, args.width, f"layer{i}"), **last)
    g.value("y", ["N", args.width], "FLOAT", output=True)
    return g.model("chain"), [{"x": rng.standard_normal((32, args.width)).astype(np.float32)} for _ in range(args.calls)]


def decoder(rng, args):
    """Inputs: tgt [n, t] ids, cross_k_i, cross_v_i [n, 8, s, 64], past_k_i, past_v_i [n, 8, p, 64]."""
    width, heads, inner, layers, words = 512, 8, 2048, 6, 32000
    g = Graph(rng)

    def cache(name, length):
        return g.value(name, ["N", heads, length, width // heads], "FLOAT")

    def normalize(x):
        scale, shift = g.floats(rng.normal(1, 0.1, width)), g.floats(rng.normal(0, 0.1, width))
        return g.node("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-5)

    def split(x):
        return g.node("Transpose", g.node("Reshape", x, apart), perm=[0, 2, 1, 3])

    def attend(q, k, v):
        scores = g.node("MatMul", g.node("Mul", q, scale), g.node("Transpose", k, perm=[0, 1, 3, 2]))
        mixed = g.node("MatMul", g.node("Softmax", scores, axis=-1), v)
        return g.node("Reshape", g.node("Transpose", mixed, perm=[0, 2, 1, 3]), together)

    apart = g.constant(np.array([0, -1, heads, width // heads]))
    together = g.constant(np.array([0, -1, width]))
    scale = g.floats((width // heads) ** -0.5)
    tgt = g.value("tgt", ["N", "T"], "INT64")
    table = g.heavy_tailed(words, width) * width**-0.5
    x = g.node("Mul", g.node("Gather", g.floats(table, "embedding"), tgt), g.floats(width**0.5))
    for i in range(layers):
        y = normalize(x)
        q, k, v = (split(g.linear(y, width, width, f"{i}/{name}")) for name in "qkv")
        k = g.node("Concat", cache(f"past_k_{i}", "P"), k, axis=2, name=f"present_k_{i}")
        v = g.node("Concat", cache(f"past_v_{i}", "P"), v, axis=2, name=f"present_v_{i}")
        x = g.node("Add", x, g.linear(attend(q, k, v), width, width, f"{i}/o"))
        q = split(g.linear(normalize(x), width, width, f"{i}/cross_q"))
        x = g.node("Add", x, g.linear(attend(q, cache(f"cross_k_{i}", "S"), cache(f"cross_v_{i}", "S")), width, width,
                                      f"{i}/cross_o"))
        y = g.node("Relu", g.linear(normalize(x), width, inner, f"{i}/up"))
        x = g.node("Add", x, g.linear(y, inner, width, f"{i}/down"))
    g.node("MatMul", normalize(x), g.floats(table.T, "output/weights"), name="logits")
    g.value("logits", ["N", "T", words], "FLOAT", output=True)
    for i in range(layers):
        for name in "kv":
            g.value(f"present_{name}_{i}", ["N", heads, "Q", width // heads], "FLOAT", output=True)

    def call(source, past):
        values = {"tgt": rng.integers(0, words, (1, 1))}
        for info in g.inputs[1:]:
            length = source if info.name.startswith("cross") else past
            values[info.name] = rng.standard_normal((1, heads, length, width // heads)).astype(np.float32)
        return values

    calls = [call(30, 15)] + [call(int(rng.integers(5, 60)), int(rng.integers(0, 60))) for _ in range(args.calls - 1)]
    return g.model("decoder"), calls


def light(rng, args):
    """ONNX model with every ConstantOfShape weight filled, He's scale; and images of noise."""
    name = {"alexnet": "light_bvlc_alexnet", "resnet50": "light_resnet50"}[args.network]
    model = onnx.load(Path(onnx.__file__).parent / f"backend/test/data/light/{name}.onnx")
    graph = model.graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    shapes = {node.output[0]: values[node.input[0]] for node in graph.node if node.op_type == "ConstantOfShape"}
    use = {name: (node.op_type, place) for node in graph.node for place, name in enumerate(node.input)}
    for name, shape in shapes.items():
        kind, place = use.get(name, ("", 0))
        shape = tuple(int(d) for d in shape)
        if kind in ("Conv", "Gemm", "MatMul") and place == 1:
            array = rng.standard_t(6, shape) * np.sqrt(2 / 1.5 / np.prod(shape[1:]))
        elif kind == "BatchNormalization":
            array = {1: rng.normal(1, 0.1, shape), 2: rng.normal(0, 0.1, shape), 3: rng.normal(0, 0.1, shape),
                     4: rng.uniform(0.5, 1.5, shape)}[place]
        else:
            array = rng.normal(0, 0.02, shape)
        graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    for node in graph.node:  # any batch: 0 takes the dimension from the input
        if node.op_type == "Reshape" and values[node.input[1]][0] == 1:
            tensor = next(t for t in graph.initializer if t.name == node.input[1])
            tensor.CopyFrom(numpy_helper.from_array(np.array([0, *values[node.input[1]][1:]], np.int64), tensor.name))
    kept = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    del graph.node[:]
    graph.node.extend(kept)
    fed = [value for value in graph.input if value.name not in values]
    shape = [d.dim_value for d in fed[0].type.tensor_type.shape.dim]
    del graph.input[:]
    graph.input.extend(fed)
    graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    for output in graph.output:
        output.type.tensor_type.shape.dim[0].dim_param = "N"
    calls = [{fed[0].name: rng.standard_normal((4, *shape[1:])).astype(np.float32)} for _ in range(args.calls)]
    return model, calls


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=["chain", "decoder", "alexnet", "resnet50"])
    parser.add_argument("--width", type=int, default=4096, metavar="N", help="chain (default: %(default)s)")
    parser.add_argument("--layers", type=int, default=4, metavar="N", help="chain (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=8, metavar="N", help="calibration calls (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    args = parser.parse_args()

    rng = np.random.default_rng(args.seed)
    model, calls = {"chain": chain, "decoder": decoder}.get(args.network, light)(rng, args)
    (args.output / "calibration").mkdir(parents=True, exist_ok=True)
    path = args.output / "model.onnx"
    onnx.save(model, path)
    for number, call in enumerate(calls):
        np.savez(args.output / f"calibration/{number:04d}.npz", **call)
    print(f"{path}: {len(calls)} calibration calls")


if __name__ == "__main__":
    main()
