"""dnateq bench (without peers) and dnateq explain: documents, refused options. No figure of time is judged."""

import json
import os
import sys
import unittest

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from support import ROOT, Case, main, save, small_network, weights

sys.path.insert(0, str(ROOT / "bench"))
in_python = unittest.skipIf(os.environ.get("DNATEQ_SANITIZED"), "Python cannot load an instrumented extension")
needs_python = unittest.skipUnless((ROOT / ".venv/bin/python").exists(), "no .venv with OpenVINO")


class Bench(Case):
    @in_python
    @needs_python
    def test_document(self):
        self.quantize("--emit", "both")
        document = self.json_of("bench", self.net, "--result", self.out, "--batch", "2", "--seconds", "0", "--layers")
        self.assertEqual(list(document), ["cpu", "cap", "batch", "threads", "precision", "rounds", "inputs", "inputs_from", "peers",
                                          "best_peer", "results", "missing"])
        self.assertEqual((document["batch"], document["threads"], document["inputs"], document["inputs_from"]),
                         (2, 1, {"image": [2, 3, 8, 8]}, "random"))
        self.assertEqual((document["peers"], document["best_peer"], document["missing"]), (None, None, []))
        first, standard, exact = document["results"]
        self.assertEqual([r["kind"] for r in document["results"]], ["given", "ours", "ours"])
        self.assertEqual((first["speed"], first["confidence"], first["name"]), (1, [1, 1], str(self.net)))
        self.assertEqual((standard["name"], exact["name"]), (f"{self.out}: cpu", f"{self.out}: exact"))
        for result in document["results"]:
            model = result["model"]
            self.assertEqual(result["bytes"], sum(os.path.getsize(model[:-3] + suffix) for suffix in ("xml", "bin")))
            self.assertLessEqual(result["p10_ms"], result["median_ms"])
            self.assertGreater(result["cosine"], 0.9)
            self.assertTrue({"name", "type", "kernel", "ms"} == set(result["layers"][0]))

    @in_python
    @needs_python
    def test_table_and_calibration_data(self):
        table = self.succeeds("bench", self.net, "--calibration", self.calib, "--seconds", "0", "--batch", "3")
        self.assertIn(f"the first call of {self.calib}, image 3x3x8x8", table)
        self.assertIn(str(self.net)[-40:], table)

    def test_bad_options(self):
        self.fails("bench", "absent.onnx", names="absent.onnx")
        self.fails("bench", self.folder, names=(str(self.folder), "--result"))
        self.fails("bench", self.net, "--result", self.folder / "none", names="none")
        self.fails("bench", self.net, "--result", self.folder, names=("no result", "model.xml"))
        self.fails("bench", self.net, "--calibration", "absent.npz", names="absent.npz")
        for option, value in (("--threads", "0"), ("--batch", "0"), ("--seconds", "-1"), ("--model-type", "cnn")):
            self.fails("bench", self.net, option, value, names=option)
        for shape in ("image", "image=", "=1,3", "image=1,,3", "image=1,3,", "image=1,x", "image=0,3"):
            self.fails("bench", self.net, "--shape", shape, names=(f"'{shape}'", "NAME=DIM"))

    @in_python
    @needs_python
    def test_bad_inputs(self):
        self.fails("bench", self.net, "--shape", "picture=1,3,8,8", names=("picture", "image"))
        self.fails("bench", self.net, "--shape", "image=1,5,8,8", names="channel")
        np.savez(self.folder / "other.npz", picture=np.zeros((2, 3, 8, 8), np.float32))
        self.fails("bench", self.net, "--calibration", self.folder / "other.npz", names=("image", "picture"))
        (self.folder / "text.txt").write_text("1 2 3")
        self.fails("bench", self.net, "--calibration", self.folder / "text.txt", names="text.txt")


class BenchInputs(Case):
    def test_random_ids_lie_in_the_table_and_masks_are_ones(self):
        from inputs import random_inputs
        ids, mask = (ops.parameter([-1, -1], np.int64, name=name) for name in ("ids", "mask"))
        for parameter in (ids, mask):
            parameter.output(0).set_names({parameter.get_friendly_name()})
        rows = ops.gather(weights(12, 8), ops.convert(ids, np.int32), np.int64(0))
        masked = ops.multiply(rows, ops.unsqueeze(ops.convert(mask, np.float32), np.int64(2)))
        model = ov.Model([ops.result(masked)], [ids, mask], "text")
        shapes = {"ids": [2, 500], "mask": [2, 500]}
        made = random_inputs(model, 1, shapes, np.random.default_rng(0))
        self.assertEqual((made["ids"].shape, made["ids"].max(), made["ids"].min()), ((2, 500), 11, 1))
        self.assertTrue((made["mask"] == 1).all())
        with self.assertRaisesRegex(ValueError, "--shape ids="):
            random_inputs(model, 1, {}, np.random.default_rng(0))

    def test_calls_have_the_model_s_names_and_types(self):
        from inputs import calls_of
        model = ov.Core().read_model(self.net)
        np.save(self.folder / "one.npy", np.ones((5, 3, 8, 8)))
        calls = list(calls_of(model, self.folder / "one.npy", 2))
        self.assertEqual([call["image"].shape[0] for call in calls], [2, 2, 1])
        self.assertEqual(calls[0]["image"].dtype, np.float32)
        (self.folder / "calls").mkdir()
        for name in "ba":
            np.savez(self.folder / "calls" / f"{name}.npz", image=np.full((1, 3, 8, 8), ord(name)))
        self.assertEqual([call["image"].flat[0] for call in calls_of(model, self.folder / "calls")], [97, 98])


class Fused(Case):
    def test_layers_that_run_in_one_node_keep_their_weights(self):
        image = ops.parameter([-1, 3, 16, 16], np.float32, name="image")
        image.output(0).set_names({"image"})
        x = image
        for name, (outputs, inputs) in {"conv1": (16, 3), "conv2": (32, 16)}.items():
            x = ops.relu(ops.convolution(x, weights(outputs, inputs, 3, 3), [2, 2], [1, 1], [1, 1], [1, 1], name=name))
        x = ops.reduce_mean(x, np.array([2, 3]), False)
        x = ops.relu(ops.matmul(x, weights(64, 32), False, True, name="first"))
        x = ops.matmul(x, weights(10, 64), False, True, name="second")
        net = save(ov.Model([ops.result(x)], [image], "net"), self.folder / "fused.xml")
        np.savez(self.calib, image=np.random.default_rng(0).standard_normal((32, 3, 16, 16)).astype(np.float32))
        self.succeeds("quantize", net, "--calibration", self.calib, "--weight-bits", "4", "-o", self.out)
        one, two = (self.json_of("explain", self.out, "--threads", threads) for threads in (1, 2))
        for document in (one, two):  # OpenVINO fuses MatMuls at one thread
            of_weights = {layer["name"] for layer in document["layers"] if layer["weights"] > 0}
            self.assertEqual(of_weights, {"conv1", "conv2", "first", "second"})
        self.assertLess(abs(one["weight_bytes"] - two["weight_bytes"]), 0.1 * two["weight_bytes"])
        fused = [layer["name"] for layer in one["layers"] if layer["fused_in"]]
        printed = self.succeeds("explain", self.out)
        self.assertEqual(", ".join(fused) + " run fused in one " in printed, len(fused) > 1)


class Explain(Case):
    def setUp(self):
        super().setUp()
        save(small_network(classes=8192), self.net)  # a head whose weights are worth packing

    def test_document(self):
        self.quantize("--emit", "cpu", "--expect-m", "1")
        document = self.json_of("explain", self.out)
        self.assertEqual(list(document), ["model", "threads", "machine", "weight_bytes", "dynamic", "same_bits_everywhere",
                                          "float_operations", "layers"])
        layers = {layer["name"]: layer for layer in document["layers"]}
        self.assertEqual(document["weight_bytes"], sum(layer["weight_bytes"] for layer in document["layers"]))
        conv, head = layers["conv2"], layers["head"]
        self.assertEqual((conv["type"], conv["arithmetic"], conv["m"], conv["n"]), ("Convolution", "int8", 64, 32))
        self.assertEqual((head["type"], head["m"], head["k"], head["n"]), ("PackedMatMul", 1, 32, 8192))
        self.assertNotEqual(head["kernel"], "")
        for layer in (conv, head):
            self.assertEqual(layer["recipe"]["stored_bits"], 4)
            self.assertLess(layer["stored_bits"], 12)  # a header counts, and these layers are small
            self.assertIn(layer["bound"], ("memory", "arithmetic"))
        plain = self.json_of("explain", self.net, "--expect-m", "3")
        fp32 = {layer["name"]: layer for layer in plain["layers"]}
        self.assertEqual((fp32["head"]["m"], fp32["head"]["stored_bits"], fp32["head"]["arithmetic"]), (3, 32, "float"))
        self.assertNotIn("recipe", fp32["head"])

    def test_table_names_what_was_refused(self):
        self.quantize("--emit", "cpu", "--expect-m", "1")
        table = self.succeeds("explain", self.out, "--expect-m", "8", env={**os.environ, "DNATEQ_KERNEL": "scalar"})
        self.assertRegex(table, r"head +PackedMatMul +scalar +8 x 32 x 8192 ")
        self.assertIn("faster, but not for 1 layer: ", table)

    def test_bad_options(self):
        self.fails("explain", "absent.onnx", names="absent.onnx")
        self.fails("explain", self.folder, names="recipe.dnateq.json")
        self.fails("explain", self.net, "--shape", "picture=1,3", names=("picture", "image"))
        self.fails("explain", self.net, "--shape", "image=1", names="shapes")
        self.fails("explain", self.net, "--expect-m", "0", names="--expect-rows")
        self.quantize("--emit", "standard")
        (self.out / "model.xml").unlink()
        self.fails("explain", self.out, names=(str(self.out), "model.xml"))


if __name__ == "__main__":
    main()
