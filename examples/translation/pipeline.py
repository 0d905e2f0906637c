#!/usr/bin/env python3
"""Encoder and decoder as one network, and back: so that bits are shared out over both by what each layer costs the logits.

`join` feeds the encoder's outputs to the decoder's inputs of the same names and writes one model: src, tgt and past_* in,
logits and present_* out. `cut` takes such a model, quantized or not, and writes encoder.xml and decoder.xml with the inputs
and outputs of the two that were joined.

examples:
    pipeline.py join --encoder encoder.onnx --decoder decoder.onnx -o pipeline.xml
    pipeline.py cut out/exact/model.xml --decoder decoder.onnx --extension build/release/lib/libdnateq_openvino.so -o out/exact
"""

import argparse
from pathlib import Path

import openvino as ov
from openvino import opset13 as ops


def join(encoder, decoder):
    """ov.Model of both; encoder outputs that the decoder doesn't read are dropped."""
    outputs = {name: result.input_value(0) for result in encoder.get_results() for name in result.input_value(0).names}
    inputs = encoder.get_parameters()
    for parameter in decoder.get_parameters():
        found = [outputs[name] for name in parameter.output(0).names if name in outputs]
        if not found:
            inputs.append(parameter)
            continue
        for port in parameter.output(0).get_target_inputs():
            port.replace_source_output(found[0])
    return ov.Model(decoder.get_results(), inputs, "pipeline")


def ancestors(outputs):
    """Nodes that the outputs are computed from."""
    seen, todo = {}, [output.get_node() for output in outputs]
    while todo:
        node = todo.pop()
        if node.get_friendly_name() not in seen:
            seen[node.get_friendly_name()] = node
            todo += [value.get_node() for value in node.input_values()]
    return seen


def cut(pipeline, decoder):
    """(encoder, decoder) of a joined model; `decoder`: the model that was joined."""
    inputs = {name for parameter in pipeline.get_parameters() for name in parameter.output(0).names}
    names = {port.any_name for port in decoder.inputs} - inputs
    border = {name: output for node in pipeline.get_ordered_ops() for output in node.outputs() for name in output.names & names}
    missing = sorted(names - border.keys())
    if missing:
        raise SystemExit(f"pipeline: the model has no tensor {', '.join(missing)}; was it made by `pipeline.py join`?")
    encoder_nodes = ancestors(border.values())
    encoder_inputs = [p for p in pipeline.get_parameters() if p.get_friendly_name() in encoder_nodes]
    decoder_inputs = [p for p in pipeline.get_parameters() if p.get_friendly_name() not in encoder_nodes]
    results = []
    for name, output in border.items():
        parameter = ops.parameter(output.partial_shape, output.element_type, name)
        for port in output.get_target_inputs():
            if port.get_node().get_friendly_name() not in encoder_nodes:
                port.replace_source_output(parameter.output(0))
        output.set_names({name})
        parameter.output(0).set_names({name})
        decoder_inputs.append(parameter)
        results.append(ops.result(output))
    return ov.Model(results, encoder_inputs, "encoder"), ov.Model(pipeline.get_results(), decoder_inputs, "decoder")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("join")
    command.add_argument("--encoder", required=True, metavar="MODEL")
    command.add_argument("--decoder", required=True, metavar="MODEL")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="XML")
    command = commands.add_parser("cut")
    command.add_argument("pipeline", metavar="MODEL")
    command.add_argument("--decoder", required=True, metavar="MODEL", help="the decoder that was joined")
    command.add_argument("--extension", metavar="FILE", help="libdnateq_openvino.so")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    args = parser.parse_args()

    core = ov.Core()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    if args.command == "join":
        ov.save_model(join(core.read_model(args.encoder), core.read_model(args.decoder)), args.output, compress_to_fp16=False)
        return
    if args.extension:
        core.add_extension(args.extension)
    encoder, decoder = cut(core.read_model(args.pipeline), core.read_model(args.decoder))
    args.output.mkdir(parents=True, exist_ok=True)
    ov.save_model(encoder, args.output / "encoder.xml", compress_to_fp16=False)
    ov.save_model(decoder, args.output / "decoder.xml", compress_to_fp16=False)


if __name__ == "__main__":
    main()
