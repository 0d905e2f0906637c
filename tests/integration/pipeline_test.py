"""examples/translation/pipeline.py: what it joins it cuts again, and neither changes what the networks compute."""

import subprocess
import sys

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from support import ROOT, Case, main, save, weights

SCRIPT = ROOT / "examples/translation/pipeline.py"


def parameter(name, shape, kind=np.float32):
    node = ops.parameter(shape, kind, name)
    node.output(0).set_names({name})
    return node


def result(value, name):
    value.output(0).set_names({name})
    return ops.result(value)


class Pipeline(Case):
    """Encoder: src -> memory, mask; the encoder itself reads both. Decoder: tgt, memory, mask, past -> logits, present."""

    def setUp(self):
        super().setUp()
        src = parameter("src", [-1, 8])
        mask = ops.convert(ops.greater(src, np.float32(0)), np.float32)
        memory = ops.matmul(ops.multiply(src, mask), weights(8, 8), False, False)
        unread = ops.relu(memory)
        self.encoder = save(ov.Model([result(memory, "memory"), result(mask, "mask"), result(unread, "unread")], [src],
                                     "encoder"), self.folder / "encoder.xml")
        tgt, past = parameter("tgt", [-1, 8]), parameter("past", [-1, 8])
        inputs = [tgt, parameter("memory", [-1, 8]), parameter("mask", [-1, 8]), past]
        present = ops.add(past, tgt)
        mixed = ops.add(ops.multiply(inputs[1], inputs[2]), present)
        logits = ops.matmul(mixed, weights(8, 5, seed=1), False, False)
        self.decoder = save(ov.Model([result(logits, "logits"), result(present, "present")], inputs, "decoder"),
                            self.folder / "decoder.xml")

    def script(self, *arguments):
        return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True)

    def outputs(self, model, **inputs):
        compiled = ov.Core().compile_model(str(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        values = compiled({port.any_name: inputs[port.any_name] for port in compiled.inputs})
        return {port.any_name: values[port] for port in compiled.outputs}

    def test_joins_and_cuts(self):
        joined = self.folder / "pipeline.xml"
        done = self.script("join", "--encoder", self.encoder, "--decoder", self.decoder, "-o", joined)
        self.assertEqual(done.returncode, 0, done.stderr)
        random = np.random.default_rng(0)
        given = {name: random.standard_normal((3, 8)).astype(np.float32) for name in ("src", "tgt", "past")}
        encoded = self.outputs(self.encoder, src=given["src"])
        wanted = self.outputs(self.decoder, **given, **encoded)
        self.assertEqual({p.any_name for p in ov.Core().read_model(joined).inputs}, {"src", "tgt", "past"})
        for name, value in self.outputs(joined, **given).items():
            np.testing.assert_array_equal(value, wanted[name])

        done = self.script("cut", joined, "--decoder", self.decoder, "-o", self.folder / "cut")
        self.assertEqual(done.returncode, 0, done.stderr)
        again = self.outputs(self.folder / "cut/encoder.xml", src=given["src"])
        self.assertEqual(set(again), {"memory", "mask"})
        for name, value in again.items():
            np.testing.assert_array_equal(value, encoded[name])
        for name, value in self.outputs(self.folder / "cut/decoder.xml", **given, **again).items():
            np.testing.assert_array_equal(value, wanted[name])

    def test_a_model_that_was_not_joined(self):
        done = self.script("cut", self.encoder, "--decoder", self.decoder, "-o", self.folder / "cut")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("pipeline.py join", done.stderr)
        self.assertFalse((self.folder / "cut").exists())


if __name__ == "__main__":
    main()
