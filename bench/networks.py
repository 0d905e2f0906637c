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


def constant(ops, array):
    return ops.constant(np.ascontiguousarray(array, np.float32))


def linear(ops, x, inputs, outputs, rng, name, bias=True):
    """x . W + b with weights of Glorot's scale, a little heavy-tailed as trained ones are."""
    weights = rng.standard_t(6, (inputs, outputs)) * np.sqrt(2 / 3 / inputs)
    y = ops.matmul(x, constant(ops, weights), False, False)
    y.set_friendly_name(name)
    return ops.add(y, constant(ops, rng.normal(0, 0.02, outputs))) if bias else y


def chain(rng, args):
    import openvino as ov
    from openvino import opset13 as ops
    x = ops.parameter(ov.PartialShape([-1, args.width]), np.float32, "x")
    x.output(0).set_names({"x"})
    y = x
    for i in range(args.layers):
        y = ops.relu(linear(ops, y, args.width, args.width, rng, f"layer{i}"))
    calls = [{"x": rng.standard_normal((32, args.width)).astype(np.float32)} for _ in range(args.calls)]
    return ov.Model([y], [x], "chain"), calls


def normalize(ops, x, width, rng):
    normal = ops.mvn(x, ops.constant(np.array([-1], np.int64)), True, 1e-5, "inside_sqrt")
    return ops.add(ops.multiply(normal, constant(ops, rng.normal(1, 0.1, width))), constant(ops, rng.normal(0, 0.1, width)))


def decoder(rng, args):
    """Inputs: tgt [n, 1] ids, cross_k_i, cross_v_i [n, 8, s, 64], past_k_i, past_v_i [n, 8, t, 64]."""
    import openvino as ov
    from openvino import opset13 as ops
    width, heads, inner, layers, words = 512, 8, 2048, 6, 32000
    parameters, results = [], []

    def parameter(name, shape, kind):
        node = ops.parameter(ov.PartialShape(shape), kind, name)
        node.output(0).set_names({name})
        parameters.append(node)
        return node

    def integers(*values):
        return ops.constant(np.array(values, np.int64))

    def split(x):
        return ops.transpose(ops.reshape(x, integers(0, -1, heads, width // heads), True), integers(0, 2, 1, 3))

    def attend(q, k, v):
        scores = ops.matmul(ops.multiply(q, constant(ops, [(width // heads) ** -0.5])), k, False, True)
        mixed = ops.matmul(ops.softmax(scores, -1), v, False, False)
        return ops.reshape(ops.transpose(mixed, integers(0, 2, 1, 3)), integers(0, -1, width), True)

    tgt = parameter("tgt", [-1, -1], np.int64)
    table = constant(ops, rng.standard_t(6, (words, width)) * np.sqrt(2 / 3) * width**-0.5)
    x = ops.multiply(ops.gather(table, tgt, integers(0)), constant(ops, [width**0.5]))
    for i in range(layers):
        y = normalize(ops, x, width, rng)
        q, k, v = (split(linear(ops, y, width, width, rng, f"{i}/{name}")) for name in "qkv")
        k = ops.concat([parameter(f"past_k_{i}", [-1, heads, -1, width // heads], np.float32), k], 2)
        v = ops.concat([parameter(f"past_v_{i}", [-1, heads, -1, width // heads], np.float32), v], 2)
        for name, present in (("k", k), ("v", v)):
            results.append(ops.result(present))
            present.output(0).set_names({f"present_{name}_{i}"})
        x = ops.add(x, linear(ops, attend(q, k, v), width, width, rng, f"{i}/o"))
        q = split(linear(ops, normalize(ops, x, width, rng), width, width, rng, f"{i}/cross_q"))
        cross = [parameter(f"cross_{name}_{i}", [-1, heads, -1, width // heads], np.float32) for name in "kv"]
        x = ops.add(x, linear(ops, attend(q, *cross), width, width, rng, f"{i}/cross_o"))
        y = ops.relu(linear(ops, normalize(ops, x, width, rng), width, inner, rng, f"{i}/up"))
        x = ops.add(x, linear(ops, y, inner, width, rng, f"{i}/down"))
    logits = ops.matmul(normalize(ops, x, width, rng), table, False, True)
    logits.set_friendly_name("logits")
    logits.output(0).set_names({"logits"})

    def call(source, past):
        values = {"tgt": rng.integers(0, words, (1, 1))}
        for node in parameters[1:]:
            name = node.output(0).any_name
            length = source if name.startswith("cross") else past
            values[name] = rng.standard_normal((1, heads, length, width // heads)).astype(np.float32)
        return values

    calls = [call(30, 15)] + [call(int(rng.integers(5, 60)), int(rng.integers(0, 60))) for _ in range(args.calls - 1)]
    return ov.Model([ops.result(logits)] + results, parameters, "decoder"), calls


def light(rng, args):
    """ONNX model with every ConstantOfShape weight filled, He's scale; and images of noise."""
    import onnx
    from onnx import numpy_helper
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
    if hasattr(model, "graph"):
        import onnx
        path = args.output / "model.onnx"
        onnx.save(model, path)
    else:
        import openvino as ov
        path = args.output / "model.xml"
        ov.save_model(model, path, compress_to_fp16=False)
    for number, call in enumerate(calls):
        np.savez(args.output / f"calibration/{number:04d}.npz", **call)
    print(f"{path}: {len(calls)} calibration calls")


if __name__ == "__main__":
    main()
