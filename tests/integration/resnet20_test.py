"""A real network (ResNet-20, CIFAR-10 of DNATEQ_SHARED_DATA) through every command."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import openvino as ov
from support import EXTENSION, ROOT, SHARED, Case, main, needs_shared_data, results

MODEL = SHARED / "cifar10/resnet20.onnx"


@needs_shared_data
class ResNet20(Case):
    """One result at 3.6 / 3.8 bits from 128 images serves all; the thresholds are far below what more images give."""

    @classmethod
    def setUpClass(cls):
        case = cls()
        case.setUp()
        cls.shared = case
        subprocess.run([sys.executable, ROOT / "examples/vision/cifar10_to_npz.py", SHARED / "cifar10/cifar10.npz", "-o",
                        case.folder / "cifar10", "--calibration", "64", "--validation", "500"], check=True,
                       stdout=subprocess.DEVNULL)
        cls.data = case.folder / "cifar10"
        cls.one = case.folder / "one"
        cls.document = case.json_of("quantize", MODEL, "--calibration", cls.data / "calibration.npz", "--target-bits", "3.6/3.8",
                                    "--threads", "1", "-o", cls.one)

    @classmethod
    def tearDownClass(cls):
        cls.shared.doCleanups()

    def eval(self, model):
        return self.json_of("eval", model, "--data", self.data / "validation.npz", "--labels",
                            self.data / "validation_labels.npy")["value"]

    def test_bits_and_accuracy(self):
        self.assertLessEqual(self.document["weights"]["stored_bits"], 3.6)
        self.assertLessEqual(self.document["activations"]["stored_bits"], 3.8)
        fp32 = self.eval(MODEL)
        self.assertGreater(fp32, 0.85)
        self.assertGreater(self.eval(self.one / "exact/model.xml"), fp32 - 0.06)
        self.assertGreater(self.eval(self.one / "model.xml"), fp32 - 0.06)

    def test_same_bytes_with_two_threads(self):
        two = self.folder / "two"
        self.succeeds("quantize", MODEL, "--calibration", self.data / "calibration.npz", "--target-bits", "3.6/3.8", "--threads",
                      "2", "-o", two)
        one, other = results(self.one), results(two)
        self.assertEqual(one.keys(), other.keys())
        for name in one:
            self.assertEqual(hashlib.sha256(one[name]).hexdigest(), hashlib.sha256(other[name]).hexdigest(), msg=name)

    def test_stopped_and_resumed_is_the_same_as_in_one_go(self):
        for share in (0.7,):  # others, on a small network: result_test.Determinism
            stopped = self.folder / f"stopped{share}"
            command = ("quantize", MODEL, "--calibration", self.data / "calibration.npz", "--target-bits", "3.6/3.8", "-o", stopped)
            if self.stopped_after(share * self.document["seconds"], *command):
                self.succeeds(*command, "--resume")
                self.assertEqual(results(self.one), results(stopped), msg=share)

    def test_the_other_commands(self):
        self.assertEqual(len(self.json_of("inspect", self.one)["layers"]), len(self.json_of("inspect", MODEL)["layers"]))
        self.json_of("report", self.one)
        self.assertIn("conv", self.succeeds("inspect", self.one))
        analysis = self.json_of("analyze", MODEL, "--calibration", self.data / "calibration.npz")
        self.assertEqual(len(analysis["tensors"]), 40)
        again = self.json_of("allocate", self.one, "--model", MODEL, "--calibration", self.data / "calibration.npz", "--target-bits", "4.5", "-o", self.folder / "again")
        self.assertGreater(again["weights"]["stored_bits"], 4.3)
        self.assertGreater(len(again["curve"]), 20)

    def test_runs_in_the_exponent_domain(self):
        """The same codes counted and, by `exact`, multiplied in float32: equal but for values on a threshold."""
        common = ("quantize", MODEL, "--calibration", self.data / "calibration.npz", "--family", "shared-base", "--weight-bits",
                  "4", "--activation-bits", "4")
        counting, exact = self.folder / "counting", self.folder / "multiplied"
        self.succeeds(*common, "--emit", "counting", "-o", counting)
        self.succeeds(*common, "--emit", "exact", "-o", exact)
        self.assertIn("CountingConvolution", (counting / "model.xml").read_text())
        self.assertIn("the same bits on every CPU", self.succeeds("inspect", counting))
        self.assertGreater(self.eval(counting / "model.xml"), self.eval(MODEL) - 0.06)
        few = self.folder / "few.npz"
        np.savez(few, input=np.load(self.data / "validation.npz")["input"][:100])
        done = self.json_of("eval", counting / "model.xml", "--data", few, "--metric", "agreement", "--reference", exact / "model.xml")
        self.assertGreaterEqual(done["value"], 0.97)
        layers = self.json_of("explain", counting)["layers"]
        self.assertEqual(sum(layer["arithmetic"] == "counting" for layer in layers), 20)

    def test_truncated_onnx(self):
        whole = MODEL.read_bytes()
        cut = self.folder / "cut.onnx"
        for bytes_left in (0, 1, 100, 4096, len(whole) // 3, len(whole) // 2, len(whole) - 1000, len(whole) - 1):
            with self.subTest(bytes_left):
                cut.write_bytes(whole[:bytes_left])
                self.refuses_to_quantize(model=cut, names="cut.onnx")

    def test_openvino_loads_the_results(self):
        images = np.load(self.data / "validation.npz")["input"][:8]
        for model, extension in ((self.one / "model.xml", None), (self.one / "exact/model.xml", EXTENSION)):
            if extension and os.environ.get("DNATEQ_SANITIZED"):
                continue  # Python cannot load an instrumented library
            core = ov.Core()
            if extension:
                core.add_extension(extension)
            compiled = core.compile_model(core.read_model(model), "CPU")
            self.assertTrue(compiled.input(0).get_partial_shape()[0].is_dynamic)
            self.assertEqual(compiled(images)[0].shape, (8, 10))
            self.assertEqual(compiled(images[:3])[0].shape, (3, 10))
            command = [ROOT / ".venv/bin/benchmark_app", "-m", model, "-t", "1", "-hint", "none", "-nstreams", "1", "-shape",
                       "[1,3,32,32]", *(("-extensions", extension) if extension else ())]
            done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder)
            self.assertEqual(done.returncode, 0, msg=done.stdout + done.stderr)
            self.assertIn("Throughput", done.stdout)


if __name__ == "__main__":
    main()
