#!/usr/bin/env python3
"""The peers of an FP32 network: what others make of it with 8 and 4 bits, for speed, size and a look at their outputs.

Prints one line of JSON a peer as soon as it is made: id, name and path, or the reason why there is none. What was made is
kept in the cache and found again while the model, the data (where they are used) and the packages are the same.

example:
    peers.py model.onnx --calibration calibration.npz --cache out/peers
"""

import argparse
import hashlib
import itertools
import json
import os
import re
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import openvino as ov
from inputs import calls_of, random_inputs

CALLS = 300  # at most, for calibration: NNCF's default
RANDOM_CALLS = 16
RECIPE = 2  # one more whenever a maker below changes: what is cached is made anew


class Unmakeable(Exception):
    """Why there is no such peer of this network, in a sentence."""


class Job:
    def __init__(self, args):
        self.model, self.args = args.model, args
        self.network = ov.Core().read_model(args.model)
        self.onnx = args.model.suffix == ".onnx"

    def calls(self):
        if self.args.calibration:
            calls = list(itertools.islice(calls_of(self.network, self.args.calibration), CALLS))
        else:
            rng = np.random.default_rng(0)
            calls = [random_inputs(self.network, self.args.batch, dict(self.args.shape), rng) for _ in range(RANDOM_CALLS)]
        if not calls:
            raise Unmakeable(f"'{self.args.calibration}' holds no samples")
        return calls

    def preprocessed(self, folder):
        """The ONNX network as ONNX Runtime's tools want it: optimized, shapes inferred."""
        from onnxruntime.quantization import quant_pre_process
        file = folder / "preprocessed.onnx"
        try:
            quant_pre_process(self.model, file)
        except Exception:  # symbolic shape inference does not know every operator
            quant_pre_process(self.model, file, skip_symbolic_shape=True)
        return file


def save_ir(model, folder):
    ov.save_model(model, folder / "model.xml", compress_to_fp16=False)


def constants_of(model, types):
    return sum(1 for node in model.get_ops() if node.get_type_name() == "Constant" and node.get_element_type() in types)


def nncf_int8(job, folder):
    import nncf
    calls = job.calls()
    kind = nncf.ModelType.TRANSFORMER if job.args.model_type else None
    model = nncf.quantize(job.network, nncf.Dataset(calls), subset_size=len(calls), model_type=kind)
    if not any(node.get_type_name() == "FakeQuantize" for node in model.get_ops()):
        raise Unmakeable("nncf.quantize found nothing to quantize")
    save_ir(model, folder)


def nncf_weights(mode, types, **options):
    def make(job, folder):
        import nncf
        from nncf.quantization.advanced_parameters import AdvancedCompressionParameters, GroupSizeFallbackMode
        if "group_size" in options:  # a smaller group where it does not divide the inputs of a channel
            fallback = GroupSizeFallbackMode.ADJUST
            options["advanced_parameters"] = AdvancedCompressionParameters(group_size_fallback_mode=fallback)
        model = nncf.compress_weights(job.network, mode=nncf.CompressWeightsMode(mode), **options)
        if not constants_of(model, types):
            raise Unmakeable("nncf.compress_weights found no weights that this form takes")
        save_ir(model, folder)
    return make


def save_onnx(model, folder):
    import onnx
    large = model.ByteSize() > 1 << 30
    onnx.save(model, folder / "model.onnx", save_as_external_data=large, location="model.onnx.data" if large else None)


def check_onnx(folder, types, sentence):
    import onnx
    nodes = onnx.load(folder / "model.onnx", load_external_data=False).graph.node
    if not any(node.op_type in types for node in nodes):
        raise Unmakeable(sentence)


def ort_static(job, folder):
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = iter(job.calls())

        def get_next(self):
            return next(self.left, None)

    source = job.preprocessed(folder)
    quantize_static(source, folder / "model.onnx", Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                    calibrate_method=CalibrationMethod.MinMax, use_external_data_format=source.stat().st_size > 1 << 30)
    check_onnx(folder, ("QuantizeLinear",), "ONNX Runtime found nothing to quantize")


def ort_dynamic(job, folder):
    from onnxruntime.quantization import QuantType, quantize_dynamic
    source = job.preprocessed(folder)
    quantize_dynamic(source, folder / "model.onnx", per_channel=True, weight_type=QuantType.QInt8,
                     use_external_data_format=source.stat().st_size > 1 << 30)
    check_onnx(folder, ("DynamicQuantizeLinear", "DynamicQuantizeLSTM"), "ONNX Runtime found nothing to quantize")


def ort_nbits(block):
    def make(job, folder):
        from onnxruntime.quantization import matmul_nbits_quantizer as nbits
        config = nbits.DefaultWeightOnlyQuantConfig(block_size=block, is_symmetric=True, accuracy_level=4, bits=4)
        # Optimization makes a Gemm of MatMul and Add, which is not taken; but it may also fold weights into constants.
        for source in (lambda: job.model, lambda: job.preprocessed(folder)):
            quantizer = nbits.MatMulNBitsQuantizer(str(source()), algo_config=config)
            quantizer.process()
            if any(node.op_type == "MatMulNBits" for node in quantizer.model.model.graph.node):
                break
        save_onnx(quantizer.model.model, folder)
        check_onnx(folder, ("MatMulNBits",), "the network has no MatMul with constant weights, and MatMulNBits takes no other")
    return make


NEEDS_DATA, NEEDS_ONNX = 1, 2
EIGHT, FOUR = (ov.Type.i8, ov.Type.u8), (ov.Type.i4, ov.Type.u4)
# First and last layers too, as ours: without all_layers NNCF keeps embeddings and the last MatMul in 8 bits.
PEERS = {
    "ov-int8": ("OpenVINO INT8, nncf.quantize", nncf_int8, NEEDS_DATA),
    "ov-int8-asym": ("OpenVINO INT8_ASYM weights", nncf_weights("int8_asym", EIGHT), 0),
    "ov-int8-sym": ("OpenVINO INT8_SYM weights", nncf_weights("int8_sym", EIGHT), 0),
    "ov-int4-128": ("OpenVINO INT4_SYM weights, group 128",
                    nncf_weights("int4_sym", FOUR, ratio=1.0, group_size=128, all_layers=True), 0),
    "ort-int8": ("ONNX Runtime INT8, static QDQ", ort_static, NEEDS_DATA | NEEDS_ONNX),
    "ort-int8-dynamic": ("ONNX Runtime INT8, dynamic", ort_dynamic, NEEDS_ONNX),
    "ort-nbits-32": ("ONNX Runtime MatMulNBits 4, block 32", ort_nbits(32), NEEDS_ONNX),
    "ort-nbits-128": ("ONNX Runtime MatMulNBits 4, block 128", ort_nbits(128), NEEDS_ONNX),
}


def add_files(digest, path):
    """A model's file and those that belong to it, or a folder's; names count, folders above them do not."""
    files = sorted(path.glob("*.npz")) if path.is_dir() else files_of(path)
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size} ".encode())
        with open(file, "rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)


def files_of(model):
    """An IR's .xml and .bin; an ONNX file and its external data as exporters name them (model.onnx.data, model.onnx_data)."""
    if model.suffix == ".xml":
        return [file for file in (model, model.with_suffix(".bin")) if file.is_file()]
    return sorted(file for file in model.parent.glob(model.name.replace("[", "[[]") + "*") if file.is_file())


def plain(error):
    """An exception of whatever library as one short sentence."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith(("Exception from", "Check '", "While validating"))]
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", lines[0]) if lines else type(error).__name__
    return (text if len(text) <= 240 else text[:237] + "...").rstrip(".")


def keys_of(args):
    """By peer: what its cached form depends on."""
    base = hashlib.sha256(f"{RECIPE} {args.model_type}".encode())
    for package in ("openvino", "nncf", "onnxruntime", "onnx", "numpy"):
        base.update(f"{package} {version(package)} ".encode())
    add_files(base, args.model)
    data = base.copy()
    if args.calibration:
        add_files(data, args.calibration)
    else:
        data.update(f"random {args.batch} {sorted(args.shape)}".encode())
    return {peer: (data if needs & NEEDS_DATA else base).hexdigest()[:16] for peer, (_, _, needs) in PEERS.items()}


def make(job, peer, key):
    name, maker, needs = PEERS[peer]
    suffix = ".onnx" if needs & NEEDS_ONNX else ".xml"
    folder = job.args.cache / f"{peer}-{key}"
    made = folder / f"model{suffix}"
    if made.is_file():
        return made
    if needs & NEEDS_ONNX and not job.onnx:
        raise Unmakeable("ONNX Runtime's peers are made of an ONNX file")
    job.args.cache.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="making-", dir=job.args.cache))
    before = Path.cwd()
    try:
        os.chdir(work)  # ONNX Runtime's shape inference leaves files where it stands when it fails
        try:
            maker(job, work)
        finally:
            os.chdir(before)
        for left in work.iterdir():
            if not left.name.startswith("model."):
                left.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return made


def parse_shape(text):
    name, _, dims = text.partition("=")
    try:
        shape = [int(d) for d in dims.split(",")]
    except ValueError:
        shape = []
    if not name or not shape or min(shape) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' isn't NAME=DIM,DIM,...")
    return name, shape


def add_arguments(parser):
    parser.add_argument("--calibration", type=Path, metavar="DATA",
                        help=".npz, .npy or a folder of .npz (default: random inputs)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="first axis of every input (default: %(default)s)")
    parser.add_argument("--shape", type=parse_shape, action="append", default=[], metavar="NAME=DIM,...",
                        help="shape of an input")
    parser.add_argument("--model-type", choices=["transformer"], help="NNCF's scheme for Transformers, for nncf.quantize")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where peers are kept")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL", help="FP32: ONNX or OpenVINO IR")
    add_arguments(parser)
    parser.add_argument("--only", action="append", choices=sorted(PEERS), metavar="ID",
                        help="just this peer: " + ", ".join(PEERS))
    args = parser.parse_args()
    if not args.cache:
        parser.error("give --cache DIR")
    args.model, args.cache = args.model.absolute(), args.cache.absolute()
    args.calibration = args.calibration and args.calibration.absolute()
    # The libraries print progress bars on standard output; the lines of JSON go where it pointed.
    with os.fdopen(os.dup(1), "w") as lines:
        os.dup2(2, 1)
        keys = keys_of(args)
        for peer in args.only or PEERS:
            line = {"id": peer, "name": PEERS[peer][0]}
            try:
                line["path"] = str(make(Job(args), peer, keys[peer]))
            except Exception as error:
                line["reason"] = plain(error)
            print(json.dumps(line), file=lines, flush=True)


if __name__ == "__main__":
    main()
