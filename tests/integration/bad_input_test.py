"""Bad input: one sentence on stderr that names the culprit and a remedy, exit status above 0, nothing left behind."""

import json
import re
import shutil
import subprocess

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino.op import util
from support import BINARY, ROOT, Case, images, main, save, small_network, weights

OF_OTHERS = {"--prog", "--extension", "--cache"}  # options of the scripts that dnateq starts


class BadModelFiles(Case):
    def test_missing_file(self):
        for command in ("quantize", "analyze", "eval", "inspect"):
            data = {"quantize": ("--calibration", self.calib, "-o", self.out), "analyze": ("--calibration", self.calib),
                    "eval": ("--data", self.test), "inspect": ()}[command]
            self.fails(command, "absent.onnx", *data, names="absent.onnx")

    def test_folder_instead_of_model(self):
        self.refuses_to_quantize(model=self.folder, names=(str(self.folder), ".onnx"))
        self.fails("eval", self.folder, "--data", self.test, names=(str(self.folder), ".onnx"))

    def test_empty_foreign_and_random_files(self):
        contents = {"empty": b"", "text": b"this is no model\n" * 20, "noise": np.random.default_rng(0).bytes(5000),
                    "zip": self.calib.read_bytes(), "html": b"<html><body>404</body></html>"}
        for name, content in contents.items():
            for suffix in (".onnx", ".xml", ".pb", ".tflite", ""):
                model = self.folder / (name + suffix)
                model.write_bytes(content)
                with self.subTest(model.name):
                    self.refuses_to_quantize(model=model, names=(model.name, "export it again"))
        self.fails("eval", self.folder / "noise.onnx", "--data", self.test, names="noise.onnx")
        self.fails("inspect", self.folder / "noise.xml", names="noise.xml")

    def test_truncated_model(self):
        xml, weight_file = self.net.read_bytes(), self.net.with_suffix(".bin").read_bytes()
        cut = self.folder / "cut.xml"
        for bytes_left in (1, 50, len(xml) // 2, len(xml) - 20):
            with self.subTest(xml=bytes_left):
                cut.write_bytes(xml[:bytes_left])
                cut.with_suffix(".bin").write_bytes(weight_file)
                self.refuses_to_quantize(model=cut, names="cut.xml")
        cut.write_bytes(xml)
        for bytes_left in (0, 4, len(weight_file) // 2, len(weight_file) - 1):
            with self.subTest(bin=bytes_left):
                cut.with_suffix(".bin").write_bytes(weight_file[:bytes_left])
                self.refuses_to_quantize(model=cut, names="cut.xml")
        cut.with_suffix(".bin").unlink()
        self.refuses_to_quantize(model=cut, names="cut.xml")


class UnsuitableModels(Case):
    def model_of(self, result, *parameters):
        return save(ov.Model([ops.result(result)], list(parameters), "unsuitable"), self.folder / "unsuitable.xml")

    def test_two_bit_weights(self):
        x = ops.parameter([-1, 16], np.float32, name="image")
        codes = ops.constant(ov.Tensor(np.full(16, 0b11100100, np.uint8), ov.Shape([16, 4]), ov.Type.u2))
        w = ops.multiply(ops.convert(codes, np.float32), ops.constant(np.float32(0.1)))
        model = self.model_of(ops.matmul(x, w, False, False, name="head"), x)
        self.refuses_to_quantize(model=model, names=("unsuitable.xml", "head", "2 bits already", "give"))

    def test_fake_quantize(self):
        x = ops.parameter([-1, 16], np.float32, name="image")
        q = ops.fake_quantize(x, np.float32(0), np.float32(1), np.float32(0), np.float32(1), 256, name="grid")
        model = self.model_of(ops.matmul(q, weights(16, 4), False, False), x)
        self.refuses_to_quantize(model=model, names=("unsuitable.xml", "grid", "FP32"))

    def test_results_of_our_own(self):
        self.quantize()
        for result in ("model.xml", "exact/model.xml"):
            self.refuses_to_quantize(model=self.out / result, names=(result, "already"), out=self.folder / "again")

    def test_state_that_is_read_twice(self):
        x = ops.parameter([1, 4], np.float32, name="image")
        info = util.VariableInfo()
        info.data_shape, info.data_type, info.variable_id = ov.PartialShape([1, 4]), ov.Type.f32, "memory"
        variable = util.Variable(info)
        first, second = (ops.read_value(ops.constant(np.full((1, 4), v, np.float32)), variable) for v in (0, 1))
        y = ops.add(ops.matmul(ops.add(x, first), weights(4, 4), False, False), second)
        model = ov.Model([ops.result(y)], [ops.assign(y, variable)], [x], "stateful")
        self.refuses_to_quantize(model=save(model, self.folder / "stateful.xml"),
                                 names=("stateful.xml", "state 'memory'", "export"))

    def test_nothing_to_quantize(self):
        x = ops.parameter([-1, 3, 8, 8], np.float32, name="image")
        self.refuses_to_quantize(model=self.model_of(ops.relu(x), x), names=("unsuitable.xml", "no layer"))

    def test_weights_that_are_not_finite(self):
        for value in (np.nan, np.inf, -np.inf):
            first = weights(32, 3, 3, 3)
            first[3, 1, 1, 1] = value
            model = save(small_network(first), self.folder / "broken.xml")
            self.refuses_to_quantize(model=model, names=("broken.xml", "conv1", "NaN"))


class BadData(Case):
    def with_images(self, array, name="bad.npz", key="image"):
        np.savez(self.folder / name, **{key: array})
        return self.folder / name

    def refused_everywhere(self, data, names):
        self.refuses_to_quantize(calibration=data, names=names)
        self.fails("analyze", self.net, "--calibration", data, "-o", self.out, names=names)
        self.fails("eval", self.net, "--data", data, "--reference", self.net, names=names)

    def test_missing_truncated_and_foreign_files(self):
        self.refused_everywhere(self.folder / "absent.npz", "absent.npz")
        whole = self.calib.read_bytes()
        bad = self.folder / "bad.npz"
        for content in (b"", b"PK", whole[:100], whole[:-10], b"text\n" * 100):
            with self.subTest(len(content)):
                bad.write_bytes(content)
                self.refuses_to_quantize(calibration=bad, names="bad.npz")
        (self.folder / "bad.txt").write_text("1 2 3")
        self.refused_everywhere(self.folder / "bad.txt", "bad.txt")
        (self.folder / "no_images").mkdir()
        self.refused_everywhere(self.folder / "no_images", "no_images")

    def test_values_that_are_not_finite(self):
        for value in (np.nan, np.inf):
            array = images(8)
            array[5, 0, 0, 0] = value
            self.refused_everywhere(self.with_images(array), ("bad.npz", "image"))
        huge = images(8).astype(np.float64)
        huge[5, 0, 0, 0] = 1e300
        self.refused_everywhere(self.with_images(huge), ("bad.npz", "image"))

    def test_wrong_input_name(self):
        self.refused_everywhere(self.with_images(images(8), key="picture"), ("bad.npz", "image", "picture"))

    def test_wrong_shape(self):
        for shape in ((8, 3, 9, 9), (8, 1, 8, 8), (8, 8, 8, 3), (8, 192), (8,)):
            with self.subTest(shape):
                hint = "look like NHWC" if shape == (8, 8, 8, 3) else "image"
                self.refused_everywhere(self.with_images(np.zeros(shape, np.float32)), ("sample 0", "bad.npz", hint))

    def test_wrong_type(self):
        self.refused_everywhere(self.with_images(images(8).astype(np.complex64)), "bad.npz")
        self.refused_everywhere(self.with_images(np.full((8, 3, 8, 8), "a")), "bad.npz")
        tokens = ops.parameter([-1, 6], np.int64, name="tokens")
        rows = ops.gather(weights(600, 8), tokens, np.int64(0))
        model = save(ov.Model([ops.result(ops.matmul(rows, weights(8, 4), False, False))], [tokens], "text"),
                     self.folder / "text.xml")
        data = self.with_images(np.ones((8, 6), np.float32), key="tokens")
        self.refuses_to_quantize(model=model, calibration=data, names=("bad.npz", "tokens", "i64"))

    def test_no_samples(self):
        self.refused_everywhere(self.with_images(images(0)), "bad.npz")

    def test_labels(self):
        def refused(labels, *names):
            np.save(self.folder / "bad.npy", labels)
            arguments = ("--validation", self.test, "--labels", self.folder / "bad.npy", "--metric", "top1")
            self.refuses_to_quantize(*arguments, names=names)
            self.fails("eval", self.net, "--data", self.test, "--labels", self.folder / "bad.npy", names=names)

        refused(np.arange(15) % 10, "15", "16")
        refused(np.arange(17) % 10, "17", "16")
        refused(np.full(16, 10), "label 10", "10 classes")
        refused(np.full(16, -1), "label -1", "10 classes")
        refused(np.zeros(16, np.float32) + 0.5, "bad.npy")
        refused(np.zeros(0, np.int64), "bad.npy")
        self.refuses_to_quantize("--validation", self.test, "--labels", "absent.npy", names="absent.npy")


class BadOptions(Case):
    def test_unknown_and_missing_options(self):
        self.refuses_to_quantize("--frobnicate", names=("unknown option '--frobnicate'", "--help"))
        self.refuses_to_quantize("--max-dorp", "1%", names="unknown option '--max-dorp'; did you mean '--max-drop'?")
        self.refuses_to_quantize("--max-dorp=1%", names="unknown option '--max-dorp'; did you mean '--max-drop'?")
        self.fails("quantize", self.net, "--calibration", self.calib, "--output-folder", self.out, names="'--output-folder'")
        self.refuses_to_quantize("--strategy", "magic", names=("--strategy", "optimal"))
        self.refuses_to_quantize("--family", "magic", names=("magic", "shared-base"))
        self.refuses_to_quantize("--metric", "magic", names=("magic", "cosine"))
        self.refuses_to_quantize("--budget", "soon", names="--budget")
        self.refuses_to_quantize("--threads", "-1", names="--threads")
        self.refuses_to_quantize("--only", "(", names="--only")
        self.refuses_to_quantize("--only", "nothing_like_this", names=("--only", "nothing_like_this"))
        self.refuses_to_quantize("--output", "absent", names=("absent", "scores"))
        self.fails("magic", names=("magic", "--help"))
        self.fails(names="--help")
        self.fails("quantize", self.net, "-o", self.out, names=("net.xml", "--calibration", "--text"))
        self.fails("eval", self.net, names=("net.xml", "--data", "--text"))

    def test_impossible_combinations(self):
        self.refuses_to_quantize("--target-bits", "4", "--max-drop", "1%", names=("--target-bits", "--max-drop"))
        self.refuses_to_quantize("--target-bits", "4", "--max-loss", "1%", names=("--target-bits", "--max-drop"))
        self.refuses_to_quantize("--max-drop", "1%", "--max-loss", "1%", names=("--max-drop", "--max-loss"))
        self.refuses_to_quantize("--drop-type", "relative", names=("--drop-type", "--max-drop"))
        self.refuses_to_quantize("--max-drop", "1%", "--drop-type", "percent", names="--drop-type")
        self.refuses_to_quantize("--max-drop", "1%", "--drop-type", "relative", "--metric", "kl", names=("--drop-type", "kl"))
        self.refuses_to_quantize("--max-drop", "150%", names=("--max-drop", "between 0% and 100%"))
        self.refuses_to_quantize("--target-bits", "4", "--weight-bits", "4", names="--target-bits")
        self.refuses_to_quantize("--weights-only", "--activation-bits", "4", names="--weights-only")
        self.refuses_to_quantize("--weights-only", "--target-bits", "4/4", names="--weights-only")
        self.refuses_to_quantize("--emit", "standard", "--target-bits", "4/4", names=("--emit", "8 bits"))
        self.refuses_to_quantize("--strategy", "paper", "--emit", "standard", names=("--strategy", "--emit"))
        self.refuses_to_quantize("--emit", "cpu", "--target-bits", "4/4", names=("--emit cpu", "8 bits"))
        self.refuses_to_quantize("--emit", "cpu,standard", names=("--emit", "model.xml"))
        self.refuses_to_quantize("--emit", "onnx", names=("--emit", "onnx"))
        self.refuses_to_quantize("--emit", "counting", names=("--emit counting", "--family shared-base", "--family beta0"))
        self.refuses_to_quantize("--emit", "counting", "--family", "pow2:2", names="--family shared-base")
        self.refuses_to_quantize("--emit", "counting,exact", "--family", "beta0", names=("--emit counting", "alone"))
        self.refuses_to_quantize("--emit", "counting", "--family", "beta0", "--weights-only", names="--weights-only")
        self.refuses_to_quantize("--expect-rows", "1", "--target-bits", "4", "--emit", "exact", names=("--expect-rows", "--emit cpu"))
        self.refuses_to_quantize("--strategy", "paper", "--family", "beta0", names=("--strategy", "--family"))
        self.refuses_to_quantize("--labels", self.labels, names=("--labels", "--validation"))
        self.refuses_to_quantize("--metric", "top1", names=("top1", "--labels"))
        self.refuses_to_quantize("--resume", names=(str(self.out), "--resume"))

    def test_the_paper_takes_no_width(self):
        for option in ("--weight-bits", "--activation-bits"):
            self.fails("quantize", self.net, "--calibration", self.calib, "--strategy", "paper", "--emit", "exact", option, "5",
                       "-o", self.out, names=(option, "--strategy paper", "--target-bits"))

    def test_messages_name_options_that_exist(self):
        commands = ("quantize", "allocate", "eval", "analyze", "inspect", "report", "bench", "explain", "simulate", "chat")
        help_texts = [self.run_program(*name, "--help").stdout for name in [(), *((name,) for name in commands)]]
        there = set(re.findall(r"--[a-z][a-z0-9-]*", "".join(help_texts)))
        named = 0
        for file in (ROOT / "src").rglob("*.cc"):
            if file.name.endswith("_test.cc") or file.name == "accelerator_defaults.cc":
                continue
            for key in re.findall(r'\boption(?:_taking)?\("([a-z0-9_]+)"', file.read_text()):  # core/option.h
                named += 1
                self.assertIn("--" + key.replace("_", "-"), there | {"--directory"}, msg=f"{file.name}: {key}")
            for literal in re.findall(r'"(?:[^"\\\n]|\\.)*"', file.read_text()):
                for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", literal):
                    named += 1
                    self.assertIn(option, there | OF_OTHERS, msg=f"{file.name}: {literal}")
        self.assertGreater(named, 100)

    def test_thresholds_of_the_paper(self):
        def refused(*options, names):
            self.fails("quantize", self.net, "--calibration", self.calib, *options, "-o", self.out, names=names)

        paper, both = ("--strategy", "paper", "--emit", "exact"), ("--thr-weights", "0.1", "--thr-activations", "10%")
        refused(*both, names=("--thr-weights", "--strategy paper"))
        refused("--thr-activations", "0.1", names=("--thr-activations", "--strategy paper"))
        refused("--thr-plans", "3", "--strategy", "uniform", names=("--thr-plans", "--strategy paper"))
        refused(*paper, "--thr-weights", "0.1", names=("--thr-activations", "pair"))
        refused(*paper, "--thr-activations", "0.1", names=("--thr-weights", "pair"))
        for goal in (("--max-drop", "1%"), ("--target-bits", "5"), ("--weight-bits", "5")):
            refused(*paper, *both, *goal, names=("--thr-weights", goal[0]))
        for wrong in ("0", "-1%", "1.5", "101%", "x", "nan", "inf", ""):
            refused(*paper, "--thr-weights", wrong, "--thr-activations", "0.1", names="--thr-weights")
            refused(*paper, "--thr-weights", "0.1", "--thr-activations", wrong, names="--thr-activations")
        refused(*paper, *both, "--weights-only", names=("--weights-only", "--thr-weights"))
        for wrong in ("-1", "65", "many"):
            refused(*paper, "--thr-plans", wrong, names="--thr-plans")

    def test_limits_that_cannot_be_met(self):
        for bits in ("1", "33", "nan", "four", "4/", "4/4/4"):
            self.refuses_to_quantize("--target-bits", bits, names="--target-bits")
        self.refuses_to_quantize("--target-bits", "1", names=("2 to 8 bits", "FP32, at 32 bits"))
        self.fails("quantize", self.net, "--calibration", self.calib, "--target-size", "1kB", "-o", self.out,
                   names=("--target-size", " kB; ask for that or more"))
        self.refuses_to_quantize("--target-bits", "2", names="--target-bits")  # scales and tables come on top
        for loss in ("-1%", "100%", "x", "nan"):
            self.refuses_to_quantize("--max-loss", loss, names="--max-loss")
        self.refuses_to_quantize("--max-loss", "0", "--metric", "cosine", names=("cannot be met", "--max-drop", "cosine"))
        self.refuses_to_quantize("--strategy", "paper", "--target-bits", "3", names=("cannot be met", "--target-bits"))
        self.refuses_to_quantize("--strategy", "paper", "--emit", "exact", "--max-loss", "0", "--metric", "cosine",
                                 names=("cannot be met", "--max-drop", "cosine", "optimal"))

    def test_time_that_is_over_is_no_limit_that_cannot_be_met(self):
        for strategy in (("--emit", "exact"), ("--strategy", "paper", "--emit", "exact")):
            sentence = self.refuses_to_quantize(*strategy, "--max-loss", "0", "--metric", "cosine", "--budget", "0.001s",
                                                names=("time of --budget was over", "raise --budget"))
            self.assertNotIn("cannot", sentence)

    def test_metric_commands(self):
        for command, why in (("false", "failed"), ("true", "number"), ("echo NaN; :", "NaN"), ("echo fine; :", "fine"),
                             ("/no/such/program 2>/dev/null", "failed")):
            self.refuses_to_quantize("--metric", f"command:{command}", names=(command, why))
            self.fails("eval", self.net, "--data", self.test, "--metric", f"command:{command}", names=(command, why))

    def test_output_that_the_metric_cannot_read(self):
        for metric in ("kl", "cosine", "agreement"):
            self.refuses_to_quantize("--metric", metric, "--output", "class", names=("output 'class'", "i64", "float32", "--output: 'scores' [?,10]"))
        self.fails("eval", self.net, "--data", self.test, names="--reference")
        self.fails("eval", self.net, "--data", self.test, "--metric", "top1", names="--labels")
        self.fails("eval", self.net, "--data", self.test, "--reference", self.net, "--output", "absent", names="absent")


class BadOutput(Case):
    def test_file_in_the_way(self):
        self.refuses_to_quantize(out=self.calib, names=(str(self.calib), "-o"))
        self.refuses_to_quantize(out=self.calib / "below", names=str(self.calib))
        self.fails("analyze", self.net, "--calibration", self.calib, "-o", self.calib / "below", names=str(self.calib))

    def test_full_disk(self):
        for file_limit in (0, 500, 3000, 20000):
            with self.subTest(file_limit):
                self.refuses_to_quantize(file_limit=file_limit, out=self.folder / "a/b/out",
                                         names=(str(self.folder / "a/b/out"), "space"))
        self.fails("analyze", self.net, "--calibration", self.calib, "-o", self.out, file_limit=500, names="written")
        with open("/dev/full", "w") as full:
            done = self.run_with_output(full, "inspect", self.net, "--json")
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1), msg=done.stderr)

    def test_an_analysis_of_the_user_is_not_replaced(self):
        analyze = ("analyze", self.net, "--calibration", self.calib, "-o", self.out)
        self.out.mkdir()
        for text in ("mine", "", "[1]", '{"model": "mine"}'):
            (self.out / "analysis.json").write_text(text)
            self.fails(*analyze, names=("analysis.json", "not replaced", "-o"))
            self.assertEqual((self.out / "analysis.json").read_text(), text)
        (self.out / "analysis.json").unlink()
        (self.out / "analysis.json.part").write_text("mine")
        for _ in range(2):  # its own is replaced
            self.succeeds(*analyze)
        self.assertEqual((self.out / "analysis.json.part").read_text(), "mine")

    def run_with_output(self, stream, *arguments):
        return subprocess.run([BINARY, *map(str, arguments)], stdout=stream, stderr=subprocess.PIPE, text=True)

    def test_files_of_the_user_stay(self):
        self.out.mkdir()
        (self.out / "notes.txt").write_text("mine")
        self.refuses_to_quantize("--max-drop", "0", names="--max-drop")
        self.quantize()
        before = {p: p.read_bytes() for p in self.out.rglob("*") if p.is_file()}
        self.refuses_to_quantize("--output", "absent", names="absent")
        self.assertEqual({p: p.read_bytes() for p in self.out.rglob("*") if p.is_file()}, before)


class BadResults(Case):
    def setUp(self):
        super().setUp()
        self.quantize()
        self.recipe = self.out / "recipe.dnateq.json"

    def refused_everywhere(self, names):
        self.fails("inspect", self.out, names=names)
        self.fails("report", self.out, names=names)
        self.fails(*self.again("--target-bits", "5", "-o", self.folder / "out2"), names=names)

    def test_no_result(self):
        (self.folder / "empty").mkdir()
        for arguments in (("inspect", self.folder / "empty"), ("report", self.folder / "empty"), ("report", "absent"),
                          self.again("--target-bits", "5", "-o", self.folder / "out2", source=self.folder / "empty")):
            self.fails(*arguments, names=str(arguments[1]))
        self.fails("inspect", self.folder / "empty", names="is empty; give a folder")
        self.fails("inspect", self.out / "exact", names=("part of the result", str(self.out)))
        self.fails("explain", self.folder, names=("holds results and is none", str(self.out)))

    def test_damaged_recipe(self):
        whole = self.recipe.read_text()
        document = json.loads(whole)
        document["layers"][0]["weights"]["code"]["stored_bits"] = 40
        for text in ("", "{", whole[: len(whole) // 2], "[1, 2]", "\0\1\2", json.dumps(document), whole.replace('"seed"', '"sead"')):
            self.recipe.write_text(text)
            self.refused_everywhere("recipe.dnateq.json")
        self.recipe.unlink()
        self.refused_everywhere("recipe.dnateq.json")

    def test_recipe_of_another_model(self):
        save(small_network(width=24), self.folder / "other.xml")
        self.succeeds("quantize", self.folder / "other.xml", "--calibration", self.calib, "--weight-bits", "4", "-o",
                      self.folder / "other")
        shutil.copy(self.folder / "other/recipe.dnateq.json", self.recipe)
        self.refused_everywhere(("recipe.dnateq.json", "another model"))

    def test_model_that_changed_after_it_was_measured(self):
        save(small_network(width=24), self.net)
        self.fails(*self.again("--target-bits", "5", "-o", self.folder / "out2"), names=("net.xml", "quantize"))

    def test_damaged_measurements(self):
        for name in ("report.cbor", "job.json"):
            file = self.out / "measurements" / name
            whole = file.read_bytes()
            command = ("report", self.out) if name == "report.cbor" else self.again(
                "--target-bits", "5", "-o", self.folder / "out2")
            for content in (b"", whole[: len(whole) // 2], b"\xff" * 50, b"{}"):
                file.write_bytes(content)
                self.fails(*command, names=name)
            file.write_bytes(whole)

    def test_allocate_without_a_wish_or_one_too_many(self):
        for wish in ((), ("--target-bits", "5", "--max-loss", "1%"), ("--target-bits", "1"), ("--max-loss", "2"),
                     ("--target-bits", "2")):
            self.fails(*self.again(*wish, "-o", self.folder / "out2"), names=("--target-bits", "--max-loss")[
                wish[:1] == ("--max-loss",)])

    def test_damaged_exact_model(self):
        model = self.out / "exact/model.xml"
        weight_file = model.with_suffix(".bin")
        whole = weight_file.read_bytes()

        def refused(content):
            weight_file.write_bytes(content)
            return self.fails("eval", model, "--data", self.test, "--reference", self.net, names="model.xml")

        blob = whole.index(b"DNTQ") if b"DNTQ" in whole else 0
        for at in (blob, blob + 40, blob + 250):
            flipped = bytearray(whole)
            flipped[at] ^= 0x10
            self.assertIn("damaged", refused(bytes(flipped)))
        for bytes_left in (0, 10, len(whole) // 2, len(whole) - 1):
            refused(whole[:bytes_left])


if __name__ == "__main__":
    main()
