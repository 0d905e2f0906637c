"""Samples, however they are handed over: calls of many, sets given twice, splits."""

import json

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from support import Case, images, main, save


class Batches(Case):
    """A folder of .npz whose calls hold 16 images each is the same data as one .npz."""

    def setUp(self):
        super().setUp()
        for name in ("calib", "test"):
            folder = self.folder / name
            folder.mkdir()
            with np.load(self.folder / f"{name}.npz") as data:
                for i, part in enumerate(np.split(data["image"], data["image"].shape[0] // 8)):
                    np.savez(folder / f"{i:02}.npz", image=part)

    def recipe(self, out):
        recipe = json.loads((out / "recipe.dnateq.json").read_text())
        return {**recipe, "data_fingerprint": None}

    def test_the_same_bits_and_figures(self):
        validation = ("--validation", self.test, "--labels", self.labels)
        self.quantize(*validation)
        calls = self.folder / "calls"
        self.succeeds("quantize", self.net, "--calibration", self.folder / "calib", "--validation", self.folder / "test",
                      "--labels", self.labels, "--weight-bits", "4", "--emit", "both", "-o", calls)
        self.assertEqual(self.recipe(calls), self.recipe(self.out))
        for file in ("model.bin", "exact/model.bin"):
            self.assertEqual((calls / file).read_bytes(), (self.out / file).read_bytes(), msg=file)
        recipe = self.recipe(calls)
        self.assertEqual(recipe["metric"]["samples"], 16)
        self.assertEqual(recipe["layers"][0]["activations"]["elements"], 3 * 8 * 8)
        self.assertEqual(recipe["layers"][0]["macs"], 8 * 8 * 32 * 27)

    def test_eval_scores_samples(self):
        documents = [self.json_of("eval", self.net, "--data", data, "--labels", self.labels)
                     for data in (self.test, self.folder / "test")]
        self.assertEqual(documents[0], documents[1])
        self.assertEqual(documents[0]["samples"], 16)

    def test_an_axis_that_is_none(self):
        self.refuses_to_quantize("--batch-axis", "1", names=("axis 1", "--batch-axis"), calibration=self.folder / "calib")
        self.refuses_to_quantize("--batch-axis", "1", names="counts samples along its first axis")


class SameData(Case):
    """Validation samples that are calibration samples too."""

    def note(self, calibration, validation, labels):
        document = self.json_of("quantize", self.net, "--calibration", calibration, "--validation", validation, "--labels",
                                labels, "--weight-bits", "4", "-o", self.out)
        return document["note"], json.loads((self.out / "recipe.dnateq.json").read_text())

    def test_one_set_given_twice(self):
        np.save(self.folder / "all.npy", np.arange(32) % 10)
        note, recipe = self.note(self.calib, self.calib, self.folder / "all.npy")
        self.assertIn("all validation samples are calibration samples too: 4 are held back", note)
        self.assertEqual(recipe["split"]["note"], note)
        self.assertEqual((recipe["split"]["solve"], recipe["split"]["judge"], recipe["metric"]["samples"]), (28, 4, 4))

    def test_a_few_shared_samples(self):
        np.savez(self.folder / "some.npz", image=np.concatenate([images(32)[:3], images(13, seed=9)]))
        note, recipe = self.note(self.calib, self.folder / "some.npz", self.labels)
        self.assertEqual(note, "3 of the 16 validation samples are calibration samples too and are not judged on")
        self.assertEqual(recipe["metric"]["samples"], 13)

    def test_a_sorted_set_is_judged_on_all_classes(self):
        labels = np.sort(np.arange(64) % 8)
        np.savez(self.folder / "sorted.npz", image=images(64, seed=5))
        np.save(self.folder / "sorted.npy", labels)
        hashes = set()
        for seed in (0, 0, 1):
            self.quantize("--validation", self.folder / "sorted.npz", "--labels", self.folder / "sorted.npy", "--max-loss",
                          "90%", "--seed", seed)
            split = json.loads((self.out / "recipe.dnateq.json").read_text())["split"]
            self.assertEqual((split["search"], split["judge"], split["note"]), (32, 32, ""))
            hashes.add(split["hash"])
        self.assertEqual(len(hashes), 2)


class Ports(Case):
    def test_inspect_begins_with_what_samples_and_metrics_are_named_by(self):
        document = self.json_of("inspect", self.net)
        self.assertEqual(document["inputs"], [{"name": "image", "type": "f32", "shape": [-1, 3, 8, 8]}])
        self.assertEqual(document["outputs"], [{"name": "scores", "type": "f32", "shape": [-1, 10]},
                                               {"name": "class", "type": "i64", "shape": [-1, 1]}])
        first, second, third = (line.split() for line in self.succeeds("inspect", self.net).splitlines()[:3])
        self.assertEqual(first, ["input", "image", "f32", "[?,3,8,8]"])
        self.assertEqual((second[1], third), ("scores", ["output", "class", "i64", "[?,1]"]))

    def test_the_first_output_in_float32_is_read_and_named(self):
        model = ov.Core().read_model(self.net)
        scores, best = (output.get_node().input_value(0) for output in model.outputs)
        net = save(ov.Model([ops.result(best), ops.result(scores)], model.get_parameters(), "turned"), self.folder / "turned.xml")
        asked = ("eval", net, "--data", self.test, "--reference", net)
        done = self.run_program(*asked)
        self.assertEqual(done.returncode, 0, msg=done.stderr)
        self.assertIn("reads output 'scores'", done.stderr)
        self.assertEqual(done.stdout, self.succeeds(*asked, "--output", "scores"))


if __name__ == "__main__":
    main()
