#!/usr/bin/env python3
"""Latency of several models of the same network, interleaved in one process: the machine's mood hits all of them alike.

Each round runs every model once, in an order shuffled anew; printed are medians and the ratio to the first model's
speed (> 1: faster than the first), with a 95 % bootstrap interval over rounds.

examples:
    speed.py int8/resnet20.xml out/resnet20/model.xml --batch 1 --threads 1
    speed.py a.xml b.xml --shape input_ids=1,64 --shape attention_mask=1,64
    speed.py a.xml exact/model.xml --extension build/release/lib/libdnateq_openvino.so --json
"""

import argparse
import json
import os
import time

import numpy as np
import openvino as ov


def parse_shape(text):
    name, _, dims = text.partition("=")
    try:
        return name, [int(d) for d in dims.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' isn't NAME=DIM,DIM,...") from None


def make_inputs(model, batch, shapes, rng):
    """Random inputs: normal for floats, small positive integers for ids, ones for masks."""
    inputs = {}
    for port in model.inputs:
        shape = shapes.get(port.any_name)
        if shape is None:
            partial = port.partial_shape
            shape = [batch] + [d.get_length() if d.is_static else 0 for d in list(partial)[1:]]
            if 0 in shape:
                raise SystemExit(f"speed: input {port.any_name} has the shape {partial}: give --shape {port.any_name}=...")
        if port.element_type.is_integral():
            array = np.ones(shape) if "mask" in port.any_name else rng.integers(1, 1000, shape)
        else:
            array = rng.standard_normal(shape)
        inputs[port.any_name] = array.astype(port.element_type.to_dtype())
    return inputs


def interval(first, times, rng, draws=2000):
    """Bootstrap interval of median(first) / median(times), rounds drawn in pairs."""
    rows = rng.integers(0, len(first), (draws, len(first)))
    return np.quantile(np.median(first[rows], 1) / np.median(times[rows], 1), [0.025, 0.975])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="IR or ONNX; the first one is the measure")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="first axis of every input (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="inference threads (default: %(default)s)")
    parser.add_argument("--shape", type=parse_shape, action="append", default=[], metavar="NAME=DIM,...", help="shape of an input")
    parser.add_argument("--seconds", type=float, default=20, metavar="S", help="time to measure, all models (default: %(default)s)")
    parser.add_argument("--min-rounds", type=int, default=50, metavar="N")
    parser.add_argument("--precision", default="f32", help="INFERENCE_PRECISION_HINT (default: %(default)s)")
    parser.add_argument("--extension", default=os.environ.get("DNATEQ_EXTENSION"), metavar="FILE", help="libdnateq_openvino.so")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    args = parser.parse_args()

    core, rng = ov.Core(), np.random.default_rng(args.seed)
    if args.extension:
        core.add_extension(args.extension)
    requests, shapes, inputs = [], dict(args.shape), None
    for path in args.models:
        model = core.read_model(path)
        inputs = inputs or make_inputs(model, args.batch, shapes, rng)
        # Static shapes, as a deployment that cares for latency would have them.
        model.reshape({port.any_name: ov.PartialShape(list(inputs[port.any_name].shape)) for port in model.inputs})
        compiled = core.compile_model(model, "CPU", {
            "INFERENCE_NUM_THREADS": args.threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": args.precision})
        request = compiled.create_infer_request()
        for port in compiled.inputs:
            request.set_tensor(port, ov.Tensor(inputs[port.any_name]))
        requests.append(request)
    for request in requests:
        for _ in range(10):
            request.infer()

    rounds, deadline = [], time.perf_counter() + args.seconds
    while len(rounds) < args.min_rounds or time.perf_counter() < deadline:
        row = [0.0] * len(requests)
        for index in rng.permutation(len(requests)):
            start = time.perf_counter()
            requests[index].infer()
            row[index] = time.perf_counter() - start
        rounds.append(row)
    times = np.array(rounds).T * 1e3

    results = []
    for path, samples in zip(args.models, times):
        low, high = interval(times[0], samples, rng)
        results.append({"model": path, "median_ms": float(np.median(samples)), "p10_ms": float(np.quantile(samples, 0.1)),
                        "p90_ms": float(np.quantile(samples, 0.9)), "speed": float(np.median(times[0]) / np.median(samples)),
                        "confidence": [float(low), float(high)]})
    if args.json:
        print(json.dumps({"batch": args.batch, "threads": args.threads, "rounds": len(rounds), "results": results}, indent=1))
        return
    names = [os.path.relpath(path) for path in args.models]
    names = [name if len(name) <= 48 else "..." + name[-45:] for name in names]
    width = max(map(len, names))
    print(f"{len(rounds)} rounds, batch {args.batch}, {args.threads} thread{'s' if args.threads != 1 else ''}, {args.precision}")
    print(f"{'model':<{width}}  median ms     p10     p90   speed  95 %")
    for name, r in zip(names, results):
        print(f"{name:<{width}}  {r['median_ms']:9.3f} {r['p10_ms']:7.3f} {r['p90_ms']:7.3f}  {r['speed']:6.3f}  "
              f"{r['confidence'][0]:.3f} - {r['confidence'][1]:.3f}")


if __name__ == "__main__":
    main()
