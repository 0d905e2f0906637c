"""Result folders: what a run replaces of a former one, and what a folder that somebody sends may make the program do."""

import json
import shutil
import signal
import subprocess
import time

import numpy as np
from support import BINARY, Case, images, main, save, small_network, snapshot


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
        again = self.run_program("quantize", self.net, "--calibration", self.calib, "--emit", "standard", "-o", self.out)
        self.assertIn("holds a former result, which the new one replaces", again.stderr)
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
        self.fails(*self.again("--max-loss", "0", "-o", self.out), names="--max-drop")
        self.assertEqual(contents(self.out), before)

    def test_a_run_that_is_killed_leaves_the_former_result(self):
        self.quantize("--emit", "cpu")
        before = contents(self.out)
        np.savez(self.folder / "many.npz", image=images(512))
        other = ("quantize", self.net, "--calibration", self.folder / "many.npz", "--max-loss", "5%", "--metric", "agreement",
                 "--emit", "both", "-o")
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


if __name__ == "__main__":
    main()
