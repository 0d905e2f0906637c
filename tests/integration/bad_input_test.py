"""Bad input: one sentence on stderr that names the culprit and a remedy, exit status above 0, nothing left behind."""

import json
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from support import BINARY, ROOT, Case, images, main, save, small_network, snapshot, weights

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

    def test_int8_weights(self):
        x = ops.parameter([-1, 16], np.float32, name="image")
        codes = ops.constant(np.ones((16, 4), np.int8))
        w = ops.multiply(ops.convert(codes, np.float32), ops.constant(np.float32(0.1)))
        model = self.model_of(ops.matmul(x, w, False, False, name="head"), x)
        self.refuses_to_quantize(model=model, names=("unsuitable.xml", "head", "FP32"))

    def test_fake_quantize(self):
        x = ops.parameter([-1, 16], np.float32, name="image")
        q = ops.fake_quantize(x, np.float32(0), np.float32(1), np.float32(0), np.float32(1), 256, name="grid")
        model = self.model_of(ops.matmul(q, weights(16, 4), False, False), x)
        self.refuses_to_quantize(model=model, names=("unsuitable.xml", "grid", "FP32"))

    def test_results_of_our_own(self):
        self.quantize()
        for result in ("model.xml", "exact/model.xml"):
            self.refuses_to_quantize(model=self.out / result, names=(result, "already"), out=self.folder / "again")

    def test_stateful(self):
        x = ops.parameter([1, 4], np.float32, name="image")
        state = ops.read_value(ops.constant(np.zeros((1, 4), np.float32)), "memory")
        y = ops.add(ops.matmul(x, weights(4, 4), False, False), state)
        model = ov.Model([ops.result(y)], [ops.assign(y, "memory")], [x], "stateful")
        self.refuses_to_quantize(model=save(model, self.folder / "stateful.xml"), names=("stateful.xml", "state"))

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
                self.refused_everywhere(self.with_images(np.zeros(shape, np.float32)), ("bad.npz", "image"))

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
        self.refuses_to_quantize("--frobnicate", names=("--frobnicate", "--help"))
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
        self.fails("quantize", self.net, "-o", self.out, names=("--calibration", "--help"))

    def test_impossible_combinations(self):
        self.refuses_to_quantize("--target-bits", "4", "--max-loss", "1%", names=("--target-bits", "--max-loss"))
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
        self.refuses_to_quantize("--expect-m", "1", "--target-bits", "4", "--emit", "exact", names=("--expect-m", "--emit cpu"))
        self.refuses_to_quantize("--strategy", "paper", "--family", "beta0", names=("--strategy", "--family"))
        self.refuses_to_quantize("--labels", self.labels, names=("--labels", "--validation"))
        self.refuses_to_quantize("--metric", "top1", names=("top1", "--labels"))
        self.refuses_to_quantize("--resume", names=(str(self.out), "--resume"))

    def test_the_paper_takes_no_width(self):
        for option in ("--weight-bits", "--activation-bits"):
            self.fails("quantize", self.net, "--calibration", self.calib, "--strategy", "paper", "--emit", "exact", option, "5",
                       "-o", self.out, names=(option, "--strategy paper", "--target-bits"))

    def test_messages_name_options_that_exist(self):
        commands = ("quantize", "allocate", "eval", "analyze", "inspect", "report", "bench", "explain", "simulate")
        help_texts = [self.run_program(*name, "--help").stdout for name in [(), *((name,) for name in commands)]]
        there = set(re.findall(r"--[a-z][a-z0-9-]*", "".join(help_texts)))
        named = 0
        for file in (ROOT / "src").rglob("*.cc"):
            if file.name.endswith("_test.cc") or file.name == "accelerator_defaults.cc":
                continue
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
        for goal in (("--max-loss", "1%"), ("--target-bits", "5"), ("--weight-bits", "5")):
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
        self.refuses_to_quantize("--target-bits", "2", names="--target-bits")  # scales and tables come on top
        for loss in ("-1%", "100%", "x", "nan"):
            self.refuses_to_quantize("--max-loss", loss, names="--max-loss")
        self.refuses_to_quantize("--max-loss", "0", "--metric", "cosine", names=("cannot be met", "--max-loss", "cosine"))
        self.refuses_to_quantize("--strategy", "paper", "--target-bits", "3", names=("cannot be met", "--target-bits"))
        self.refuses_to_quantize("--strategy", "paper", "--emit", "exact", "--max-loss", "0", "--metric", "cosine",
                                 names=("cannot be met", "--max-loss", "cosine", "optimal"))

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
            self.refuses_to_quantize("--metric", metric, "--output", "class", names=("class", "float32", "--output"))
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
        self.refuses_to_quantize("--max-loss", "0", names="--max-loss")
        self.quantize()
        before = {p: p.read_bytes() for p in self.out.rglob("*") if p.is_file()}
        self.refuses_to_quantize("--output", "absent", names="absent")
        self.assertEqual({p: p.read_bytes() for p in self.out.rglob("*") if p.is_file()}, before)


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


class FormerResults(Case):
    """What lies in -o stays as it is until the new result is whole, and what we did not write stays for good."""

    def test_files_of_no_result_are_never_replaced(self):
        for name in ("model.xml", "model.bin", "report.html", "recipe.dnateq.json", "exact/model.bin", "measurements/job.json",
                     "measurements/measurements.cbor", "int8/model.xml"):
            file = self.out / name
            file.parent.mkdir(parents=True)
            file.write_text("mine")
            with self.subTest(name):
                self.refuses_to_quantize(names=(str(file), "-o"))
                self.refuses_to_quantize("--max-loss", "99%", names=(str(file), "-o"))
            shutil.rmtree(self.out)
        for folder in ("exact", "measurements"):
            self.out.mkdir()
            (self.out / folder).symlink_to(self.folder)
            self.refuses_to_quantize(names=(str(self.out / folder), "link"))
            shutil.rmtree(self.out)
        (self.out / "unfinished").mkdir(parents=True)
        (self.out / "unfinished/symphony.txt").write_text("mine")
        self.refuses_to_quantize(names=(str(self.out / "unfinished"), "-o"))

    def test_a_whole_result_waits_for_its_place(self):
        command = [BINARY, "quantize", self.net, "--calibration", self.calib, "--weight-bits", "4", "-q", "-o", self.out]
        with subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True, cwd=self.folder) as program:
            while program.poll() is None and not (self.out / "unfinished/running").exists():
                pass
            (self.out / "report.html").write_text("mine")
            errors = program.communicate()[1]
        self.assertEqual((program.returncode, len(errors.splitlines())), (1, 1), msg=errors)
        for name in ("report.html", str(self.out / "unfinished"), "--resume"):
            self.assertIn(name, errors)
        self.assertEqual((self.out / "report.html").read_text(), "mine")
        (self.out / "report.html").unlink()
        self.succeeds(*(argument for argument in command[1:] if argument != "-q"), "--resume")
        self.assertTrue((self.out / "model.xml").exists())
        self.assertFalse((self.out / "unfinished").exists())

    def test_data_of_the_run_are_not_replaced(self):
        self.quantize()
        shutil.copy(self.labels, self.out / "report.html")
        self.refuses_to_quantize("--validation", self.test, "--labels", self.out / "report.html", names=("report.html", "-o"))

    def test_only_what_was_written_goes(self):
        self.quantize()
        mine = {self.out / name: b"mine" for name in ("notes.txt", "net.onnx", "exact/notes", "measurements/x.csv", "other/model.xml")}
        for file, content in mine.items():
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
        self.quantize("--emit", "standard")
        there = contents(self.out)
        self.assertEqual({file: there[file] for file in mine}, mine)
        self.assertFalse((self.out / "exact/model.xml").exists())
        self.assertFalse((self.out / "unfinished").exists())
        self.quantize()
        self.assertTrue((self.out / "exact/model.xml").exists())

    def test_a_run_that_fails_leaves_the_former_result(self):
        self.quantize()
        before = contents(self.out)
        script = self.folder / "metric.sh"  # says something of FP32 and of a candidate, then no more
        script.write_text("#!/bin/sh\necho x >> count\n[ $(wc -l < count) -lt 3 ] && echo 1\n")
        script.chmod(0o755)
        (self.folder / "count").write_text("")
        done = self.run_program("quantize", self.net, "--calibration", self.calib, "--metric", f"command:{script}", "--max-loss",
                                "10%", "-o", self.out, "-q")
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1), msg=done.stderr)
        self.assertIn("metric.sh", done.stderr)
        self.assertEqual(contents(self.out), before)
        self.refuses_to_quantize("--emit", "standard", file_limit=3000, names="space")
        self.assertEqual(contents(self.out), before)
        self.fails(*self.again("--max-loss", "0", "-o", self.out), names="--max-loss")
        self.assertEqual(contents(self.out), before)

    def test_a_run_that_is_killed_leaves_the_former_result(self):
        self.quantize("--emit", "cpu")
        before = contents(self.out)
        np.savez(self.folder / "many.npz", image=images(512))
        other = ("quantize", self.net, "--calibration", self.folder / "many.npz", "--max-loss", "5%", "--metric", "agreement", "-o")
        start = time.monotonic()
        self.succeeds(*other, self.folder / "whole")
        seconds = time.monotonic() - start
        for share in (0.2, 0.5, 0.8):
            with subprocess.Popen([BINARY, *map(str, (*other, self.out)), "-q"], cwd=self.folder, stdout=subprocess.DEVNULL) as program:
                time.sleep(share * seconds)
                program.send_signal(signal.SIGKILL)
            if program.returncode == 0:
                break
            former = {file: content for file, content in contents(self.out).items() if self.out / "unfinished" not in file.parents}
            self.assertEqual(former, before)
            self.succeeds("inspect", self.out)
        self.succeeds(*other, self.out, "--resume")
        for name in ("model.bin", "exact/model.bin", "recipe.dnateq.json"):
            self.assertEqual((self.out / name).read_bytes(), (self.folder / "whole" / name).read_bytes(), msg=name)
        self.assertFalse((self.out / "unfinished").exists())

    def test_two_runs_in_one_folder(self):
        script = self.folder / "slow.sh"
        script.write_text("#!/bin/sh\ntouch asked\nwhile [ ! -e go ]; do sleep 0.05; done\necho 1\n")
        script.chmod(0o755)
        with subprocess.Popen([BINARY, "quantize", self.net, "--calibration", self.calib, "--weight-bits", "4", "--metric",
                               f"command:{script}", "-o", self.out, "-q"], cwd=self.folder, stdout=subprocess.DEVNULL) as first:
            while not (self.folder / "asked").exists():
                time.sleep(0.05)
            for more in ((), ("--resume",)):
                self.refuses_to_quantize(*more, names=("another run", str(self.out), "-o"))
            (self.folder / "go").touch()
        self.assertEqual(first.returncode, 0)
        self.succeeds("inspect", self.out)


class HostileResults(Case):
    """A result folder that somebody made: it decides nothing outside of itself."""

    def setUp(self):
        super().setUp()
        self.quantize("--metric", "command:echo 1; :")
        self.job = self.out / "measurements/job.json"
        self.wish = ("--target-bits", "5", "-o", self.folder / "out2")

    def note(self, **values):
        self.job.write_text(json.dumps({**json.loads(self.job.read_text()), **values}))

    def test_a_command_is_asked_for_again(self):
        self.note(metric=f"command:touch {self.folder / 'ran'}; echo 1; :")
        self.fails(*self.again(*self.wish), names=("--metric", "touch", str(self.out)))
        self.fails("allocate", self.out, *self.wish, names=("--model", "net.xml", "--calibration", "calib.npz", "--metric"))
        done = self.run_program(*self.again("--metric", "command:echo 2; :", *self.wish), "-q")
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (0, 1), msg=done.stderr)
        self.assertIn("cannot be compared", done.stderr)
        for command in (("inspect",), ("report",), ("explain",)):
            self.run_program(*command, self.out)
        self.run_program("simulate", self.out, "--model", self.net)
        self.quantize("--resume")
        self.assertFalse((self.folder / "ran").exists())

    def test_the_same_command_named_again(self):
        self.succeeds(*self.again("--metric", "command:echo 1; :", *self.wish))  # and no word about it

    def test_a_metric_of_python_is_asked_for_too(self):
        self.note(metric="function:evil")
        self.fails(*self.again(*self.wish), names=("--metric", "function:evil"))

    def test_paths_are_asked_for_again(self):
        secret = save(small_network(width=24), self.folder / "secret.xml")
        self.note(metric="", model=str(secret), calibration="/etc/passwd", validation=str(self.test), labels=str(self.labels))
        self.fails("allocate", self.out, *self.wish, names=("--model", "secret.xml", "--calibration", "/etc/passwd", "--validation",
                                                            "--labels"))
        self.fails("simulate", self.out, names=("--model", "secret.xml"))
        more = ("--validation", self.test, "--labels", self.labels)
        self.succeeds(*self.again(*more, *self.wish))
        elsewhere = shutil.copy(self.test, self.folder / "elsewhere.npz")
        done = self.run_program(*self.again("--validation", elsewhere, "--labels", self.labels, *self.wish), "-q")
        self.assertEqual(done.returncode, 0, msg=done.stderr)
        self.assertIn("only if the files are the same", done.stderr)

    def test_other_samples_than_those_measured(self):
        np.savez(self.folder / "other.npz", image=images(32, seed=9))
        self.fails("allocate", self.out, "--model", self.net, "--calibration", self.folder / "other.npz", "--metric",
                   "command:echo 1; :", *self.wish, names=("other.npz", str(self.out), "quantize"))

    def test_nothing_is_said_to_the_terminal(self):
        self.note(metric="command:\x1b[2J\x1b]0;title\x07\r")
        self.assertNotRegex(self.fails(*self.again(*self.wish), names="--metric"), "[\x00-\x1f]")

    def test_links_lead_nowhere(self):
        precious = self.folder / "precious"
        (precious / "pass-1").mkdir(parents=True)
        (precious / "pass-1/file").write_text("mine")
        before = snapshot(precious)
        shutil.rmtree(self.out / "measurements")
        (self.out / "measurements").symlink_to(precious)
        self.refuses_to_quantize(names=("measurements", "link"))
        self.refuses_to_quantize("--resume", names=("measurements", "link"))
        (self.out / "measurements").unlink()
        (self.out / "unfinished").mkdir()
        (self.out / "unfinished/running").touch()
        (self.out / "unfinished/measurements").symlink_to(precious)
        self.refuses_to_quantize("--resume", names=("measurements", "link"))
        (self.out / "unfinished/measurements").unlink()
        (self.out / "report.html.part").symlink_to(precious / "pass-1/file")
        self.quantize()
        self.succeeds("report", self.out)
        self.assertEqual((precious / "pass-1/file").read_text(), "mine")
        self.assertEqual(snapshot(precious), before)


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
