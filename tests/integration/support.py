"""What the integration tests share: small networks, data for them, and runs of the program as a user would start it.

Environment: DNATEQ_BINARY, DNATEQ_EXTENSION (set by ctest), DNATEQ_SHARED_DATA (default: ../shared/data of the repository).
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("DNATEQ_BINARY", ROOT / "build/release/bin/dnateq"))
EXTENSION = Path(os.environ.get("DNATEQ_EXTENSION", ROOT / "build/release/lib/libdnateq_openvino.so"))
SHARED = Path(os.environ.get("DNATEQ_SHARED_DATA", ROOT.parent / "shared/data"))
SKIPPED = 77  # ctest: SKIP_RETURN_CODE

needs_shared_data = unittest.skipUnless((SHARED / "cifar10/resnet20.onnx").is_file(), f"no {SHARED}/cifar10")


def weights(*shape, seed=0):
    fan_in = int(np.prod(shape[1:]))
    return (np.random.default_rng(seed).standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)


def small_network(first=None, width=32, classes=10):
    """Image [?,3,8,8] -> convolution, ReLU, convolution, ReLU, mean, 10 classes. Layers conv1, conv2, head."""
    image = ops.parameter([-1, 3, 8, 8], np.float32, name="image")
    image.output(0).set_names({"image"})
    x = image
    for name, w in (("conv1", weights(width, 3, 3, 3) if first is None else first), ("conv2", weights(width, width, 3, 3, seed=1))):
        x = ops.convolution(x, w, [1, 1], [1, 1], [1, 1], [1, 1], name=name)
        x = ops.relu(x)
    x = ops.reduce_mean(x, np.array([2, 3]), False)
    x = ops.matmul(x, weights(width, classes, seed=2), False, False, name="head")
    x.output(0).set_names({"scores"})
    best = ops.topk(x, np.int64(1), 1, "max", "value", index_element_type="i64")
    best.output(1).set_names({"class"})
    return ov.Model([ops.result(x), ops.result(best.output(1))], [image], "small")


def save(model, path):
    ov.save_model(model, path, compress_to_fp16=False)
    return path


def images(count, seed=3):
    return np.random.default_rng(seed).standard_normal((count, 3, 8, 8)).astype(np.float32)


class Case(unittest.TestCase):
    """A temporary folder with a small network (`net.xml`) and data for it (`calib.npz`, `test.npz`, `labels.npy`)."""

    maxDiff = None

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="dnateq-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.net = save(small_network(), self.folder / "net.xml")
        self.calib = self.folder / "calib.npz"
        self.test = self.folder / "test.npz"
        self.labels = self.folder / "labels.npy"
        self.out = self.folder / "out"
        np.savez(self.calib, image=images(32))
        np.savez(self.test, image=images(16, seed=4))
        np.save(self.labels, np.arange(16) % 10)

    def run_program(self, *arguments, file_limit=None, timeout=300, **options):
        def limit():
            if file_limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

        return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                              cwd=self.folder, preexec_fn=limit, **options)

    def succeeds(self, *arguments, **options):
        done = self.run_program(*arguments, "-q", **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), msg=arguments)
        return done.stdout

    def json_of(self, *arguments, **options):
        return json.loads(self.succeeds(*arguments, "--json", **options))

    def quantize(self, *arguments, out=None):
        """Bits fixed and both emissions written unless told otherwise."""
        return self.succeeds("quantize", self.net, "--calibration", self.calib, *goal(arguments), *emissions(arguments), *arguments,
                             "-o", out or self.out)

    def again(self, *arguments, source=None):
        """What `allocate` is given: a result, and what is named again because it lies outside of that."""
        return ("allocate", source or self.out, "--model", self.net, "--calibration", self.calib, *arguments)

    def stopped_after(self, seconds, *arguments):
        """Ctrl-C after so many seconds: the program ends within two, with status 130. False if it had ended before."""
        with subprocess.Popen([BINARY, *map(str, arguments), "-q"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, cwd=self.folder) as program:
            time.sleep(seconds)
            program.send_signal(signal.SIGINT)
            sent = time.monotonic()
            _, errors = program.communicate()
        if program.returncode == 0:
            return False
        self.assertLess(time.monotonic() - sent, 2)
        self.assertEqual(program.returncode, 130)
        self.assertEqual(len(errors.splitlines()), 1, msg=errors)
        self.assertIn("--resume", errors)
        return True

    def fails(self, *arguments, names, out=None, **options):
        """Refused with one sentence that holds every one of `names`; nothing stays where nothing was."""
        out = out or self.out
        before = snapshot(self.folder)
        done = self.run_program(*arguments, "-q", **options)
        self.assertGreater(done.returncode, 0, msg=f"killed by a signal or accepted: {arguments}\n{done.stderr}")
        self.assertLess(done.returncode, 128, msg=done.stderr)
        self.assertEqual(done.stdout, "")
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, msg=done.stderr)
        self.assertTrue(lines[0].startswith("dnateq: "), msg=lines[0])
        for place in ("failed at", "Exception from", "src/", ".cpp", "std::", "json.exception"):
            self.assertNotIn(place, lines[0])
        for name in (names,) if isinstance(names, str) else names:
            self.assertIn(name, lines[0])
        self.assertEqual(snapshot(self.folder), before, msg=f"left behind, or taken away, by {arguments}")
        return lines[0]

    def refuses_to_quantize(self, *arguments, names, model=None, calibration=None, **options):
        return self.fails("quantize", model or self.net, "--calibration", calibration or self.calib, *goal(arguments), *arguments,
                          "-o", options.get("out") or self.out, names=names, **options)


def goal(arguments):
    """A width for all weights, the quickest way to a result, unless something else is asked for."""
    return () if {"--target-bits", "--max-drop", "--max-loss"} & set(map(str, arguments)) else ("--weight-bits", "4")


def emissions(arguments):
    return () if "--emit" in arguments else ("--emit", "both")


def snapshot(folder):
    return {str(p.relative_to(folder)): p.stat().st_size if p.is_file() else None for p in folder.rglob("*")}


def results(folder):
    """The bytes of a result that must be the same after every run."""
    names = ("model.xml", "model.bin", "exact/model.xml", "exact/model.bin", "recipe.dnateq.json")
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def main():
    program = unittest.main(module="__main__", exit=False, verbosity=1)
    done = program.result
    if done.wasSuccessful() and done.testsRun == len(done.skipped):
        print("skipped:", "; ".join(sorted({reason for _, reason in done.skipped})))
        sys.exit(SKIPPED)
    sys.exit(not done.wasSuccessful())
