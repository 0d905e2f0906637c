"""What the commands give on a small network: documents, files, the same bytes every time."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from support import EXTENSION, Case, emissions, images, main, results, save, weights


class Documents(Case):
    """--json prints one document and nothing else."""

    def test_quantize_and_allocate(self):
        document = self.json_of("quantize", self.net, "--calibration", self.calib, "--target-bits", "5", "--emit", "both", "-o",
                                self.out)

        def keys(value):
            return {key: keys(inner) for key, inner in value.items()} if isinstance(value, dict) else None

        bits = {"stored_bits": None, "tensor_mean_bits": None}
        wanted = {"weights": bits, "activations": bits, "all": {"tensor_mean_bits": None},
                  "metric": dict.fromkeys(("name", "reference", "quantized", "exact", "confidence", "samples",
                                            "samples_from", "held_out")),
                  "emissions": None, "parameters": None,
                  "passed_activations": dict.fromkeys(("emission", "values", "mean_bits", "in_float")),
                  "limit": None, "certified": None, "verdict": None,
                  "bytes": dict.fromkeys(("fp32", "int8", "int8_is_estimate", "file", "ram")), "note": None, "thresholds": None, "seconds": None}
        self.assertEqual(keys(document), wanted)
        self.assertEqual(list(document), list(wanted))
        self.assertLessEqual(document["weights"]["stored_bits"], 5)
        emissions = {one["emission"]: one for one in document["emissions"]}
        self.assertEqual(set(emissions), {"cpu", "exact"})
        for name, folder, score in (("cpu", self.out, "quantized"), ("exact", self.out / "exact", "exact")):
            self.assertEqual(emissions[name]["score"], document["metric"][score])
            self.assertLessEqual(*emissions[name]["interval"])
            size = (folder / "model.bin").stat().st_size
            self.assertEqual((emissions[name]["bytes"], emissions[name]["graph_bytes"]), (size, (folder / "model.xml").stat().st_size))
            self.assertAlmostEqual(emissions[name]["bits_on_disk"], 8 * size / document["parameters"])
        # conv1, conv2 and head, and no other constant of floats
        self.assertEqual(document["parameters"], 32 * 3 * 9 + 32 * 32 * 9 + 32 * 10)
        self.assertEqual(document["bytes"]["fp32"], 4 * document["parameters"])
        # NNCF's network lies there if its packages do (tools/peers.sh)
        self.assertEqual(document["bytes"]["int8_is_estimate"], not (self.out / "int8/made_of").is_file())
        passed = document["passed_activations"]
        self.assertEqual(passed["emission"], "exact")
        # The image, what conv1 and conv2 give, the mean, perhaps once more without its own mean, and the scores; the mean reads
        # conv2, and TopK the scores, in float32.
        self.assertIn(passed["values"] - (3 * 64 + 2 * 32 * 64 + 32 + 10), (0, 32))
        in_float = {(tensor["type"], tensor["elements"]) for tensor in passed["in_float"]}
        self.assertLessEqual({("LevelConvolution", 32 * 64), ("LevelMatMul", 10)}, in_float)
        share = sum(tensor["elements"] for tensor in passed["in_float"]) / passed["values"]
        self.assertAlmostEqual(sum(tensor["share"] for tensor in passed["in_float"]), share)
        self.assertLess(32 * share, passed["mean_bits"])
        self.assertLess(passed["mean_bits"], 32)
        self.assertIsNone(document["limit"])
        self.assertFalse(document["certified"])
        self.assertGreater(document["bytes"]["ram"], 0)
        self.assertEqual(document["bytes"]["file"], (self.out / "model.bin").stat().st_size)
        again = self.json_of(*self.again("--target-bits", "4.5", "-o", self.folder / "out2"))
        self.assertEqual(keys(again), {**wanted, "curve": None})
        self.assertLessEqual(again["weights"]["stored_bits"], 4.5)
        curve = np.array(again["curve"])
        self.assertTrue((np.diff(curve[:, 0]) > 0).all())

    def test_one_width_alone_leaves_the_other_kind_to_the_strategy(self):
        """It shares out, by sensitivity, as many bits as 4 everywhere."""
        def widths(*options, out):
            self.succeeds("quantize", self.net, "--calibration", self.calib, "--emit", "exact", *options, "-o", out)
            layers = json.loads((out / "recipe.dnateq.json").read_text())["layers"]
            return [[(one[kind]["code"]["stored_bits"], one[kind]["elements"]) for one in layers] for kind in ("weights", "activations")]

        def mean(tensors):
            return sum(bits * elements for bits, elements in tensors) / sum(elements for _, elements in tensors)

        for strategy in ("optimal", "uniform"):
            weights_5, free = widths("--strategy", strategy, "--weight-bits", "5", out=self.folder / f"{strategy}5")
            self.assertEqual({bits for bits, _ in weights_5}, {5})
            self.assertGreater(len({bits for bits, _ in free}), 1, msg=free)
            self.assertLessEqual(mean(free), 4.001)
            free, activations_8 = widths("--strategy", strategy, "--activation-bits", "8", out=self.folder / f"{strategy}8")
            self.assertEqual({bits for bits, _ in activations_8}, {8})
            self.assertLessEqual(mean(free), 4.001)
        both = widths("--weight-bits", "5", "--activation-bits", "6", out=self.folder / "both")
        self.assertEqual([{bits for bits, _ in kind} for kind in both], [{5}, {6}])
        document = self.json_of("quantize", self.net, "--calibration", self.calib, "--weight-bits", "3", "--emit", "standard", "-o",
                                self.out)
        self.assertEqual(document["activations"]["stored_bits"], 8)

    def test_bits_on_disk_count_weights_that_no_list_has(self):
        image = ops.parameter([-1, 3, 8, 8], np.float32, name="image")
        image.output(0).set_names({"image"})
        x = ops.convolution(image, weights(8, 3, 3, 3), [1, 1], [1, 1], [1, 1], [1, 1], name="conv")
        x = ops.relu(ops.multiply(x, weights(1, 8, 8, 8, seed=5)))  # a factor for each pixel: 512 parameters
        x = ops.matmul(ops.reduce_mean(x, np.array([2, 3]), False), weights(8, 10, seed=2), False, False, name="head")
        model = save(ov.Model([ops.result(x)], [image], "scaled"), self.folder / "scaled.xml")
        document = self.json_of("quantize", model, "--calibration", self.calib, "--weight-bits", "4", "--activation-bits", "4",
                                "-o", self.out)
        self.assertEqual({layer["name"] for layer in self.json_of("inspect", self.out)["layers"]}, {"conv", "head"})
        self.assertEqual(document["parameters"], 8 * 27 + 512 + 80)
        for emission, folder in (("cpu", self.out), ("exact", self.out / "exact")):
            found = next(e["bits_on_disk"] for e in document["emissions"] if e["emission"] == emission)
            self.assertAlmostEqual(found, 8 * (folder / "model.bin").stat().st_size / (8 * 27 + 512 + 80))
            self.assertGreater(found, 32 * 512 / (8 * 27 + 512 + 80))  # they stay in float32
        text = self.succeeds("inspect", self.out)
        self.assertIn("pass on in FP32", text)
        self.assertRegex(text, r"exact: .* on disk, [\d.]+ bits for each of 808 parameters")

    def test_the_others(self):
        self.quantize()
        self.assertEqual({layer["name"] for layer in self.json_of("inspect", self.net)["layers"]}, {"conv1", "conv2", "head"})
        self.assertEqual(self.json_of("inspect", self.out), json.loads((self.out / "recipe.dnateq.json").read_text()))
        page = self.json_of("report", self.out)["report"]
        self.assertIn("</html>", open(page).read())
        analysis = self.json_of("analyze", self.net, "--calibration", self.calib, "-o", self.folder / "analysis")
        self.assertEqual(analysis, json.loads((self.folder / "analysis/analysis.json").read_text()))
        top1 = self.json_of("eval", self.net, "--data", self.test, "--labels", self.labels)
        self.assertEqual((top1["metric"], top1["samples"]), ("top1", 16))
        cosine = self.json_of("eval", self.out / "model.xml", "--data", self.test, "--reference", self.net)
        self.assertGreater(cosine["value"], 0.9)
        command = self.json_of("eval", self.net, "--data", self.test, "--metric", "command:echo 0.5; :")
        self.assertEqual(command, {"metric": "command", "value": 0.5})

    def test_help_names_an_example_each(self):
        for command in ("quantize", "allocate", "eval", "analyze", "inspect", "report", "bench", "explain"):
            done = self.run_program(command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(f"Example: dnateq {command} ", done.stdout)


class Determinism(Case):
    def test_same_bytes_with_any_number_of_threads(self):
        for number, options in enumerate((("--target-bits", "4.5/4"), ("--max-loss", "2%", "--metric", "agreement"),
                                          ("--strategy", "paper", "--target-bits", "5"))):
            one, two = self.folder / f"one{number}", self.folder / f"two{number}"
            self.quantize(*options, "--threads", "1", out=one)
            self.quantize(*options, "--threads", "2", out=two)
            self.assertEqual(results(one), results(two), msg=options)

    def test_stopped_and_resumed_is_the_same_as_in_one_go(self):
        options = ("--max-loss", "5%", "--metric", "agreement", "--emit", "both")  # one of the 32 samples that are held back may differ
        np.savez(self.calib, image=images(512))
        start = time.monotonic()
        self.quantize(*options)
        whole = time.monotonic() - start
        for share in (0.2, 0.45, 0.75):
            stopped = self.folder / f"stopped{share}"
            if not self.stopped_after(share * whole, "quantize", self.net, "--calibration", self.calib, *options, "-o", stopped):
                continue
            if (stopped / "unfinished/measurements").is_dir():
                self.quantize(*options, "--resume", out=stopped)
                self.assertEqual(results(stopped), results(self.out), msg=share)
                self.assertFalse((stopped / "unfinished").exists())

    def test_resume_takes_nothing_from_another_job(self):
        """Same folder and bits, other data, layers or family: what was kept does not fit and is not used."""
        np.savez(self.folder / "other.npz", image=images(32, seed=9))
        kept = self.folder / "kept"
        self.quantize()
        shutil.copytree(self.out, kept)
        for number, options in enumerate((("--only", "conv"), ("--family", "beta0"), ("--weights-only",))):
            fresh, resumed = self.folder / f"fresh{number}", self.folder / f"resumed{number}"
            shutil.copytree(kept, resumed)
            self.quantize(*options, out=fresh)
            self.quantize(*options, "--resume", out=resumed)
            self.assertEqual(results(fresh), results(resumed), msg=options)


class PaperThresholds(Case):
    """The grid of the paper's thresholds in the recipe, and pairs that are given."""

    def study(self, *options, out=None):
        document = self.json_of("quantize", self.net, "--calibration", self.calib, "--strategy", "paper", "--emit", "exact",
                                *options, "-o", out or self.out)
        recipe = json.loads(((out or self.out) / "recipe.dnateq.json").read_text())
        study = recipe["thresholds"]
        self.assertEqual(document["thresholds"], {key: study[key] for key in ("weights", "activations")})
        return recipe, study

    def cell(self, study):
        """The plan of the recipe's own pair, which is always of the grid."""
        row, column = (study[f"{kind}_thresholds"].index(study[key])
                       for kind, key in (("weight", "weights"), ("activation", "activations")))
        return study["plans"][study["cells"][row * len(study["activation_thresholds"]) + column]]

    def test_a_pair_that_is_given(self):
        recipe, study = self.study("--thr-weights", "12%", "--thr-activations", "0.07")
        self.assertEqual((study["weights"], study["activations"], study["chosen_by"]), (0.12, 0.07, "given"))
        self.assertIn("--thr-weights 12% --thr-activations 0.07", recipe["options"])
        for layer in recipe["layers"]:  # within both, or the most bits there are
            bits = layer["weights"]["code"]["stored_bits"]
            self.assertTrue(bits == 8 or (layer["weights"]["rmae"] <= 0.12 + 1e-9 and layer["activations"]["rmae"] <= 0.08), layer)
        loose, _ = self.study("--thr-weights", "1", "--thr-activations", "1", out=self.folder / "loose")
        self.assertEqual({layer["weights"]["code"]["stored_bits"] for layer in loose["layers"]}, {4})
        tight, _ = self.study("--thr-weights", "1e-9", "--thr-activations", "1e-9", out=self.folder / "tight")
        self.assertEqual({layer["weights"]["code"]["stored_bits"] for layer in tight["layers"]}, {8})

    def test_the_grid_has_bits_everywhere_and_says_what_was_judged(self):
        for number, goal in enumerate((("--thr-weights", "0.12", "--thr-activations", "0.07"), ("--target-bits", "5"),
                                       ("--max-loss", "20%"))):
            recipe, study = self.study(*goal, "--thr-plans", "6", out=self.folder / f"out{number}")
            rows, columns = study["weight_thresholds"], study["activation_thresholds"]
            self.assertGreaterEqual(min(len(rows), len(columns)), 8)
            self.assertEqual(len(study["cells"]), len(rows) * len(columns))
            self.assertEqual((rows, columns), (sorted(rows, reverse=True), sorted(columns, reverse=True)))
            mean = [study["plans"][plan]["tensor_mean_bits"] for plan in study["cells"]]
            for at in range(len(mean)):
                if (at + 1) % len(columns):
                    self.assertLessEqual(mean[at], mean[at + 1])
                if at + len(columns) < len(mean):
                    self.assertLessEqual(mean[at], mean[at + len(columns)])
            judged = [plan for plan in study["plans"] if plan["loss"] is not None]
            self.assertGreaterEqual(len(judged), min(6, len(study["plans"])))
            self.assertGreater(study["samples"], 0)
            own = self.cell(study)
            bits = [tensor["code"]["stored_bits"] for layer in recipe["layers"] for tensor in (layer["weights"], layer["activations"])]
            self.assertAlmostEqual(own["tensor_mean_bits"], sum(bits) / len(bits))
            self.assertTrue(all(step["note"].startswith("Thr_w ") for step in recipe["steps"]))
            notes = [step["note"] for step in recipe["steps"]]
            self.assertEqual(len(notes), len(set(notes)))

    def test_no_plan_is_judged_where_none_is_wanted(self):
        for number, options in enumerate((("--target-bits", "5", "--thr-plans", "0"),
                                          ("--target-bits", "5", "--metric", "command:echo 0.5; :"))):
            _, study = self.study(*options, out=self.folder / f"out{number}")
            self.assertTrue(all(plan["loss"] is None for plan in study["plans"]))
            self.assertGreater(len(study["plans"]), 1)

    def test_weights_alone_have_one_column(self):
        _, study = self.study("--weights-only", "--thr-weights", "0.1")
        self.assertEqual(len(study["activation_thresholds"]), 1)
        self.assertGreaterEqual(len(study["weight_thresholds"]), 8)

    def test_the_page_draws_it(self):
        self.study("--target-bits", "5")
        page = (self.out / "report.html").read_text()
        self.assertIn('"thresholds":{', page)
        self.assertIn("weight_thresholds", page)
        again = self.json_of("report", self.out)["report"]
        self.assertEqual(Path(again).read_text(), page)
        self.quantize(out=self.folder / "other")
        self.assertIn('"thresholds":null', (self.folder / "other/report.html").read_text())
        self.assertIsNone(json.loads((self.folder / "other/recipe.dnateq.json").read_text())["thresholds"])


class Emissions(Case):
    def predictions(self, model, extension=False, batch=16):
        core = ov.Core()
        if extension:
            core.add_extension(EXTENSION)
        compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        self.assertTrue(compiled.input(0).get_partial_shape()[0].is_dynamic)
        self.assertEqual(compiled.input(0).get_any_name(), "image")
        return compiled({"image": images(batch, seed=4)})["scores"]

    def cosine(self, a, b):
        return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))

    def test_every_combination_of_options_gives_models_that_load(self):
        wanted = self.predictions(self.net)
        combinations = (
            (), ("--emit", "standard"), ("--emit", "exact"), ("--weights-only",), ("--weights-only", "--emit", "standard"),
            ("--emit", "cpu", "--expect-rows", "1"), ("--weights-only", "--emit", "cpu"), ("--emit", "standard,exact"),
            ("--only", "conv"), ("--ignore", "conv1", "--ignore", "head"), ("--family", "beta0"), ("--family", "pow2:2"),
            ("--family", "shared-base"), ("--family", "shared-base", "--emit", "counting"),
            ("--family", "beta0", "--emit", "counting"), ("--family", "beta0", "--emit", "standard"), ("--strategy", "uniform"),
            ("--strategy", "paper", "--target-bits", "5.5"), ("--strategy", "paper", "--max-loss", "20%"),
            ("--strategy", "paper", "--weights-only", "--target-bits", "5"), ("--strategy", "uniform", "--max-loss", "20%"),
            ("--target-bits", "20"), ("--metric", "kl", "--max-loss", "2.5"), ("--budget", "1s", "--max-loss", "20%"),
        )
        for number, options in enumerate(combinations):
            with self.subTest(options):
                out = self.folder / f"out{number}"
                bits = () if {"--target-bits", "--max-loss"} & set(options) else ("--weight-bits", "6")
                if bits and not {"--weights-only", "standard", "cpu"} & set(options):
                    bits += ("--activation-bits", "6")
                document = self.json_of("quantize", self.net, "--calibration", self.calib, *bits, *emissions(options), *options, "-o", out)
                exact = out / "model.xml" if not (out / "exact").exists() else out / "exact/model.xml"
                if not {"standard", "cpu"} & set(options):
                    self.assertIsNotNone(document["metric"]["exact"])
                    self.assertGreater(self.cosine(self.predictions(exact, extension=True), wanted), 0.97)
                if not {"exact", "counting", "paper"} & set(options):
                    self.assertIsNotNone(document["metric"]["quantized"])
                    self.assertGreater(self.cosine(self.predictions(out / "model.xml", extension="standard" not in options), wanted), 0.97)
                if number % 4 == 0:
                    self.succeeds("inspect", out)
                    self.succeeds("report", out)
                if "--max-loss" not in options and number % 4 == 1:
                    self.succeeds(*self.again("--target-bits", "20" if "--ignore" in options else "6",
                                              "-o", self.folder / f"again{number}", source=out))

    def test_the_default_emission(self):
        for options, wanted in ((("--weight-bits", "4"), ["cpu"]), (("--target-bits", "5/4"), ["exact", "cpu"]),
                                (("--activation-bits", "8"), ["cpu"]), (("--strategy", "paper", "--target-bits", "5"), ["exact"])):
            out = self.folder / "-".join(options)
            document = self.json_of("quantize", self.net, "--calibration", self.calib, *options, "-o", out)
            self.assertEqual([row["emission"] for row in document["emissions"]], wanted, msg=options)

    def test_the_program_and_python_agree_on_the_exact_model(self):
        self.quantize()
        scores = self.predictions(self.out / "exact/model.xml", extension=True)
        np.save(self.folder / "mine.npy", scores.argmax(1))
        done = self.json_of("eval", self.out / "exact/model.xml", "--data", self.test, "--labels", self.folder / "mine.npy")
        self.assertEqual(done["value"], 1)

    def test_allocation_uses_the_measurements_that_are_there(self):
        self.quantize("--max-loss", "20%")
        done = self.run_program(*self.again("--target-bits", "5", "-o", self.folder / "out2"))
        self.assertEqual(done.returncode, 0)
        self.assertNotIn("sensitivities", done.stderr)

    def test_embedding_and_ragged_sequences(self):
        tokens = ops.parameter([-1, -1], np.int64, name="tokens")
        tokens.output(0).set_names({"tokens"})
        x = ops.gather(weights(600, 16), tokens, np.int64(0), name="table")
        x = ops.reduce_mean(ops.relu(ops.matmul(x, weights(16, 16, seed=1), False, False, name="dense")), np.array([1]), False)
        model = save(ov.Model([ops.result(ops.matmul(x, weights(16, 4, seed=2), False, False))], [tokens], "text"),
                     self.folder / "text.xml")
        calls = self.folder / "calls"
        calls.mkdir()
        random = np.random.default_rng(0)
        for i in range(24):
            np.savez(calls / f"{i:03}.npz", tokens=random.integers(0, 600, (1 + i % 3, 3 + i % 7)))
        document = self.json_of("quantize", model, "--calibration", calls, "--weight-bits", "6", "--activation-bits", "6",
                                "-o", self.out)
        self.assertGreater(document["metric"]["exact"], 0.98)
        self.assertIn("table", {layer["name"] for layer in self.json_of("inspect", self.out)["layers"]})


if __name__ == "__main__":
    main()
