#!/usr/bin/env python3
"""Latency of several models of the same network, interleaved in one process: the machine's mood hits all of them alike.

Each round runs every model once, in an order shuffled anew; printed are medians and the ratio to the first model's
speed (> 1: faster than the first), with a 95 % bootstrap interval over rounds. --peers makes others' INT8 and 4-bit forms
of the first model (peers.py; needs requirements-bench.txt) and adds the ratio to the fastest of them. `cosine`, of the first
float output to the first model's, only shows that all compute the same network: how well is for `dnateq eval`. `dnateq bench` is
this program.

examples:
    speed.py int8/resnet20.xml out/resnet20/model.xml --batch 1 --threads 1
    speed.py a.xml b.xml --shape input_ids=1,64 --shape attention_mask=1,64
    speed.py a.xml exact/model.xml --extension build/release/lib/libdnateq_openvino.so --json
    speed.py model.onnx --result out --peers --calibration calibration.npz
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import openvino as ov
from inputs import calls_of, random_inputs
from peers import add_arguments, files_of, plain

ORT_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
             "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_, "tensor(uint8)": np.uint8}


def cpu_name():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")


def cap():
    """What holds OpenVINO's kernels, but not ours, to fewer instructions than the CPU has; None: nothing does."""
    return os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA")


def refuse_other_cpus(model, path):
    """As `dnateq` refuses them: models of ours that compute what they should on CPUs with VNNI alone."""
    where = ["dnateq", "target_isa"]
    if not model.has_rt_info(where) or model.get_rt_info(where).astype(str) != "vnni":
        return
    flags = next((line.split() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), [])
    if cap() in ("SSE41", "AVX", "AVX2", "AVX512_CORE") or not {"avx_vnni", "avx512_vnni"} & set(flags):
        raise ValueError(f"'{path}' was made with --target-isa vnni, and VNNI is missing here: OpenVINO's kernels would compute "
                         "wrong numbers with it; quantize with --target-isa any")


class OpenVinoModel:
    runtime = "OpenVINO"

    def __init__(self, core, path, inputs, args, profile=False):
        model = core.read_model(path)
        refuse_other_cpus(model, path)
        fed = {port.any_name: self.find(port, inputs, path) for port in model.inputs}
        # Static shapes, as a deployment that cares for latency would have them.
        model.reshape({name: ov.PartialShape(list(array.shape)) for name, array in fed.items()})
        compiled = core.compile_model(model, "CPU", {
            "INFERENCE_NUM_THREADS": args.threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": args.precision, "PERF_COUNT": profile})
        self.request = compiled.create_infer_request()
        for port in compiled.inputs:
            array = self.find(port, inputs, path).astype(port.element_type.to_dtype(), copy=False)
            self.request.set_tensor(port, ov.Tensor(array))

    @staticmethod
    def find(port, inputs, path):
        for name in port.names:
            if name in inputs:
                return inputs[name]
        raise ValueError(f"input '{port.any_name}' of '{path}' is none of the first model's inputs: {', '.join(inputs)}")

    def run(self):
        self.request.infer(share_outputs=True)

    def output(self, index):
        return np.array(self.request.get_output_tensor(index).data)

    def layers(self):
        """Mean time of each executed node over the calls so far, the slowest first."""
        nodes = [node for node in self.request.profiling_info if node.status == ov.ProfilingInfo.Status.EXECUTED]
        rows = [{"name": n.node_name, "type": n.node_type, "kernel": n.exec_type, "ms": n.real_time.total_seconds() * 1e3}
                for n in nodes]
        rows = [row for row in rows if row["type"] not in ("Input", "Output", "Const", "Parameter", "Result")]
        return sorted(rows, key=lambda row: -row["ms"])


class OnnxRuntimeModel:
    runtime = "ONNX Runtime"

    def __init__(self, path, inputs, args):
        import onnx
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = args.threads, 1
        options.log_severity_level = 3
        # Static shapes for it as well, where its symbols allow it.
        symbols = {}
        for value in onnx.load(path, load_external_data=False).graph.input:
            for dim, length in zip(value.type.tensor_type.shape.dim, inputs.get(value.name, np.empty(0)).shape):
                if dim.dim_param:
                    symbols.setdefault(dim.dim_param, set()).add(length)
        for symbol, lengths in symbols.items():
            if len(lengths) == 1:
                options.add_free_dimension_override_by_name(symbol, lengths.pop())
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        for node in self.session.get_inputs():
            if node.name not in inputs:
                raise ValueError(f"'{path}' has an input '{node.name}' that OpenVINO's network lacks")
            array = np.ascontiguousarray(inputs[node.name].astype(ORT_TYPES[node.type], copy=False))
            self.binding.bind_ortvalue_input(node.name, ort.OrtValue.ortvalue_from_numpy(array))
        for node in self.session.get_outputs():
            self.binding.bind_output(node.name)

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def output(self, index):
        return self.binding.get_outputs()[index].numpy()


def is_onnx_runtime(entry):
    return entry["kind"] == "peer" and str(entry["path"]).endswith(".onnx")


def load(core, entry, inputs, args):
    if is_onnx_runtime(entry):
        return OnnxRuntimeModel(str(entry["path"]), inputs, args)
    return OpenVinoModel(core, entry["path"], inputs, args)


def emission(core, path):
    model = core.read_model(path)
    return model.get_rt_info(["dnateq", "emission"]).astype(str) if model.has_rt_info(["dnateq", "emission"]) else ""


def results_in(core, folder):
    """The networks of one result of dnateq."""
    found = [path for path in (folder / "model.xml", folder / "exact" / "model.xml") if path.is_file()]
    if not found:
        raise ValueError(f"'{folder}' holds no result of dnateq quantize: neither model.xml nor exact/model.xml")
    return [{"name": f"{folder}: {emission(core, path) or path.stem}", "kind": "ours", "path": path}
            for path in found]


def make_peers(args, say):
    """Peers as peers.py makes them, in a process of its own so that nothing of NNCF runs beside the measurement."""
    cache = args.cache
    if not cache:
        cache = args.result[0] / "peers" if args.result else Path(tempfile.gettempdir()) / f"dnateq-peers-{os.getuid()}"
    command = [sys.executable, Path(__file__).with_name("peers.py"), args.models[0], "--cache", cache, "--batch", args.batch]
    for option, value in (("--calibration", args.calibration), ("--model-type", args.model_type)):
        command += [option, value] if value else []
    for name, shape in args.shape:
        command += ["--shape", f"{name}={','.join(map(str, shape))}"]
    made, missing = [], []
    say(f"making peers in {cache}")
    with tempfile.TemporaryFile("w+") as log, subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE,
                                                               stderr=log, text=True) as process:
        for line in process.stdout:
            peer = json.loads(line)
            if "reason" in peer:
                missing.append({"name": peer["name"], "reason": peer["reason"]})
            else:
                made.append({"name": peer["name"], "kind": "peer", "path": Path(peer["path"])})
            say(f"  {peer['name']}{': ' + peer['reason'] if 'reason' in peer else ''}")
        if process.wait() != 0:
            log.seek(0)
            last = [line for line in log.read().splitlines() if line.strip()][-1:] or [f"exit status {process.returncode}"]
            raise ValueError(f"the peers could not be made: {plain(last[0])}")
    return made, missing


def interval(first, times, rng, draws=1000):
    """Bootstrap interval of median(first) / median(times), rounds drawn in pairs."""
    ratios = []
    for _ in range(draws):
        rows = rng.integers(0, len(first), len(first))
        ratios.append(np.median(first[rows]) / np.median(times[rows]))
    return np.quantile(ratios, [0.025, 0.975])


def cosine(a, b):
    if a.size != b.size:
        return None
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / length) if np.isfinite(length) and length > 0 else None


def measure(models, args, rng):
    """Milliseconds, models x rounds."""
    for model in models:
        deadline = time.perf_counter() + 1
        for _ in range(10):
            model.run()
            if time.perf_counter() > deadline:
                break
    rounds, deadline = [], time.perf_counter() + args.seconds
    while len(rounds) < args.min_rounds or time.perf_counter() < deadline:
        row = [0.0] * len(models)
        for index in rng.permutation(len(models)):
            for _ in range(args.warm):
                models[index].run()
            start = time.perf_counter()
            models[index].run()
            row[index] = time.perf_counter() - start
        rounds.append(row)
    return np.array(rounds).T * 1e3


def latency_inputs(network, args, rng):
    if args.calibration and not args.shape:
        call = next(calls_of(network, args.calibration, args.batch), None)
        if call is None:
            raise ValueError(f"'{args.calibration}' holds no samples")
        if args.batch > 1:
            call = {name: np.resize(array, (args.batch, *array.shape[1:])) for name, array in call.items()}
        return call, f"the first call of {args.calibration}"
    return random_inputs(network, args.batch, dict(args.shape), rng), "random"


def profile(core, entry, inputs, args):
    """OpenVINO's counters are means since the model was compiled: calls enough for the first one not to matter."""
    model = OpenVinoModel(core, entry["path"], inputs, args, profile=True)
    deadline = time.perf_counter() + min(2, args.seconds)
    for _ in range(1000):
        model.run()
        if time.perf_counter() > deadline:
            break
    return model.layers()


def shortened(text, width):
    return text if len(text) <= width else "..." + text[3 - width:]


def print_table(document):
    results = document["results"]
    shapes = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in document["inputs"].items())
    threads = document["threads"]
    print(document["cpu"] + (f", capped: ONEDNN_MAX_CPU_ISA={document['cap']}" if document["cap"] else ""))
    print(f"{document['rounds']} rounds, batch {document['batch']}, {threads} thread{'s' if threads != 1 else ''}, "
          f"{document['precision']}; inputs: {document['inputs_from']}, {shapes}")
    if document["peers"] is not None:
        print(f"peers that need calibration data had {document['peers']}")
    names = [shortened(r["name"], 48) for r in results]
    width = max(map(len, names))
    best = document["best_peer"]
    beside = f"  {'over best peer':>14}  {'95 %':13}" if best else ""
    print(f"{'model':<{width}}  size MB  median ms     p10     p90   speed  {'95 %':13}{beside}  cosine")
    for name, r in zip(names, results):
        beside = ""
        if best:
            low, high = r["confidence_over_best_peer"]
            beside = f"  {r['speed_over_best_peer']:14.3f}  {low:.3f} - {high:.3f}"
        likeness = "     -" if r["cosine"] is None else f"{r['cosine']:6.3f}"
        print(f"{name:<{width}}  {r['bytes'] / 1e6:7.2f}  {r['median_ms']:9.3f} {r['p10_ms']:7.3f} {r['p90_ms']:7.3f}  "
              f"{r['speed']:6.3f}  "
              f"{r['confidence'][0]:.3f} - {r['confidence'][1]:.3f}{beside}  {likeness}")
    if best:
        print(f"best peer: {best}")
    for peer in document["missing"]:
        print(f"not there: {peer['name']}: {peer['reason']}")
    for result in results:
        if result.get("layers"):
            print(f"\n{result['name']}: layers, mean of calls apart from the measurement above")
            for layer in result["layers"]:
                print(f"  {layer['ms']:9.3f} ms  {layer['type']:<18} {layer['kernel']:<26} {layer['name']}")


def bench(args, say):
    core, rng = ov.Core(), np.random.default_rng(args.seed)
    if args.extension:
        core.add_extension(args.extension)
    for path in [*args.models, *args.result, *([args.calibration] if args.calibration else [])]:
        if not path.exists():
            raise ValueError(f"there is no '{path}'")
    network = core.read_model(args.models[0])
    entries = [{"name": str(path), "kind": "given", "path": path} for path in args.models]
    for folder in args.result:
        entries += results_in(core, folder)
    inputs, inputs_from = latency_inputs(network, args, rng)
    made, missing = make_peers(args, say) if args.peers else ([], [])
    models, kept = [], []
    for entry in entries + made:
        try:
            models.append(load(core, entry, inputs, args))
            models[-1].run()
            kept.append(entry)
        except Exception as error:
            if entry["kind"] != "peer":
                raise
            del models[len(kept):]
            missing.append({"name": entry["name"], "reason": plain(error)})
    say(f"measuring {len(models)} models")
    times = measure(models, args, rng)

    medians = np.median(times, 1)
    peers = [i for i, entry in enumerate(kept) if entry["kind"] == "peer"]
    best = min(peers, key=lambda i: medians[i]) if peers else None
    compared = next((i for i, port in enumerate(network.outputs) if port.element_type.is_real()), 0)
    reference, results = models[0].output(compared), []
    for entry, model, samples in zip(kept, models, times):
        ratio = lambda first: {"speed": float(np.median(first) / np.median(samples)),
                               "confidence": [float(x) for x in interval(first, samples, rng)]}
        result = {"model": str(entry["path"]), "name": entry["name"], "kind": entry["kind"], "runtime": model.runtime,
                  "bytes": sum(file.stat().st_size for file in files_of(Path(entry["path"]))),
                  "median_ms": float(np.median(samples)), "p10_ms": float(np.quantile(samples, 0.1)),
                  "p90_ms": float(np.quantile(samples, 0.9)), **ratio(times[0])}
        if best is not None:
            result.update({f"{key}_over_best_peer": value for key, value in ratio(times[best]).items()})
        result["cosine"] = cosine(model.output(compared), reference)
        results.append(result)
    if args.layers:
        del models
        for entry, result in zip(kept, results):
            if not is_onnx_runtime(entry):
                result["layers"] = profile(core, entry, inputs, args)
    calibration = (str(args.calibration) if args.calibration else "random inputs") if args.peers else None
    batch = next((array.shape[0] for array in inputs.values() if array.ndim), args.batch)
    return {"cpu": cpu_name(), "cap": cap(), "batch": batch, "threads": args.threads, "precision": args.precision, "rounds": times.shape[1],
            "inputs": {name: list(array.shape) for name, array in inputs.items()}, "inputs_from": inputs_from,
            "peers": calibration, "best_peer": None if best is None else kept[best]["name"], "results": results,
            "missing": missing}


def measure_and_show(args, measured_by, printed_by):
    """The end of a program: its document as JSON or as a table, what goes wrong as one sentence."""
    say = (lambda text: None) if args.quiet else lambda text: print(f"{args.prog}: {text}", file=sys.stderr, flush=True)
    try:
        document = measured_by(args, say)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        sys.exit(f"{args.prog}: {plain(error)}")
    if args.json:
        print(json.dumps(document, indent=1))
    else:
        printed_by(document)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="IR or ONNX; the first one is the measure")
    parser.add_argument("--result", type=Path, action="append", default=[], metavar="DIR", help="a result of dnateq quantize")
    parser.add_argument("--peers", action="store_true", help="others' forms of the first model beside")
    add_arguments(parser)
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="inference threads (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20, metavar="S",
                        help="time to measure, all models (default: %(default)s)")
    parser.add_argument("--min-rounds", type=int, default=20, metavar="N",
                        help="rounds, even if they take longer (default: %(default)s)")
    parser.add_argument("--warm", type=int, default=0, metavar="N", help="calls of a model before each that is timed (default: "
                        "%(default)s, so that every model finds the caches as the others left them)")
    parser.add_argument("--layers", action="store_true", help="times of each layer of OpenVINO's models, from runs apart")
    parser.add_argument("--precision", default="f32", help="INFERENCE_PRECISION_HINT (default: %(default)s)")
    parser.add_argument("--extension", default=os.environ.get("DNATEQ_EXTENSION"), metavar="FILE", help="libdnateq_openvino.so")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    parser.add_argument("--prog", default="speed", help=argparse.SUPPRESS)
    args = parser.parse_args()
    measure_and_show(args, bench, print_table)


if __name__ == "__main__":
    main()
