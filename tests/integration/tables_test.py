"""bench/tables.py: its rows' commands are ones that the programs take, measuring, resuming and writing pages work, and the
pages say what was measured."""

import json
import re
import shlex
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

from support import BINARY, ROOT, Case, main

sys.path.insert(0, str(ROOT / "bench"))
sys.path.insert(0, str(ROOT / "tools/docs"))
import accuracy  # noqa: E402
import language  # noqa: E402
import language_picture  # noqa: E402
import picture  # noqa: E402
import rows as table_rows  # noqa: E402
import tables  # noqa: E402


class Rows(Case):
    """What no test has the time to run must still be right as far as that can be seen."""

    def test_every_command_names_options_that_its_program_has(self):
        helps = {}
        for row in table_rows.ROWS:
            for command in [*(c for c, _ in row.prepare), *row.commands]:
                words = shlex.split(command)
                while words[0] == "env" or "=" in words[0]:  # a variable for this command alone
                    words.pop(0)
                script = next((word for word in words[:2] if word.endswith(".py")), None)
                if script is None:
                    if words[0].endswith("/bench_kernels"):  # built on demand, takes problems and no options
                        self.assertFalse([word for word in words[1:] if word.startswith("-")], command)
                        continue
                    self.assertTrue(words[0].endswith("/dnateq"), command)
                    key, options = words[1], words[2:]
                    if key not in helps:
                        helps[key] = self.succeeds(key, "--help")
                else:
                    self.assertTrue((ROOT / script).is_file(), command)
                    key, options = script, words[2:]
                    helps.setdefault(key, (ROOT / script).read_text())
                    if script == "bench/networks.py":
                        self.assertIn(f'"{words[2]}"', helps[key].replace("'", '"'), command)
                for option in options:
                    if option.startswith("-"):
                        self.assertRegex(helps[key], re.escape(option) + r"\b", f"{row.name}: {command}")

    def test_rows_are_named_once_and_belong_to_tables_that_the_pages_have_a_place_for(self):
        names = [row.name for row in table_rows.ROWS]
        self.assertEqual(len(names), len(set(names)))
        known = {table.name for table in table_rows.TABLES}
        for digest in table_rows.DIGESTS:
            self.assertLessEqual(set(digest.rows), set(names), digest.name)
            self.assertEqual((ROOT / digest.page).read_text().count(tables.START.format(digest.name)), 1, digest.name)
        for row in table_rows.ROWS:
            self.assertIn(row.table, known)
            self.assertRegex(row.name, r"^[\w-]+$")
        for table in table_rows.TABLES:
            self.assertTrue(any(row.table == table.name for row in table_rows.ROWS), table.name)
            for page in table.pages:
                text = (ROOT / page).read_text()
                self.assertEqual(text.count(tables.START.format(table.name)), 1, f"{page}, {table.name}")


class Measuring(Case):
    def setUp(self):
        super().setUp()
        self.cache, self.said = self.folder / "cache", []
        self.table = table_rows.Table("small", "Small", "A text.", ["network", "emission", "bits"], ["page.md"])
        (self.folder / "docs").mkdir()
        (self.folder / "page.md").write_text("before\n<!-- table small -->\nold\n<!-- end of table -->\nafter\n")

    def row(self, name, command, **options):
        return table_rows.Row(name, "small", 1, [command], lambda outputs: [["net", "`x`", outputs[0].strip()]], **options)

    def run_rows(self, rows, commit="abc", budget=1000.0, again=False):
        return tables.run_rows(rows, self.cache, commit, budget, again, self.said.append)

    def write_pages(self, rows, digests=()):
        return tables.write_pages([self.table], digests, rows, self.cache, self.folder)

    def test_a_network_is_quantized_and_its_line_stands_in_the_pages(self):
        command = (f"{BINARY} quantize {self.net} --calibration {self.calib} --target-bits 5 -q -o {self.out} --json")
        row = table_rows.Row("net", "small", 1, [command, f"{BINARY} inspect {self.out} --json"],
                             lambda outputs: [["small", f"`{e['emission']}`", f"{e['bits_on_disk']:.2f}"]
                                              for e in json.loads(outputs[1])["emissions"]])
        self.assertEqual(self.run_rows([row]), {})
        pages = self.write_pages([row])
        self.assertEqual(pages, ["docs/benchmarks.md", "page.md"])
        page = (self.folder / "page.md").read_text()
        self.assertTrue(page.startswith("before\n") and page.endswith("after\n") and "old" not in page)
        bits = 8 * (self.out / "model.bin").stat().st_size / json.loads((self.out / "recipe.dnateq.json").read_text())["parameters"]
        self.assertIn(f"| small | `cpu` | {bits:.2f} |", page)
        self.assertIn(command, (self.folder / "docs/benchmarks.md").read_text())

    def test_a_failing_row_is_reported_and_the_next_one_runs(self):
        bad = self.row("bad", "echo 'no such thing' >&2; false")
        odd = self.row("odd", "echo text")
        odd.read = lambda outputs: [[json.loads(outputs[0])]]
        lacking, slow = self.row("lacking", "echo 1", needs=["no/such/path"]), self.row("slow", "sleep 60")
        slow.seconds = 1000
        good = self.row("good", "echo 3.21")
        missing = self.run_rows([bad, odd, lacking, slow, good], budget=500)
        self.assertEqual(set(missing), {"bad", "odd", "lacking", "slow"})
        self.assertIn("no such thing", missing["bad"])
        self.assertIn("no/such/path", missing["lacking"])
        self.assertIn("not run", missing["slow"])
        text = tables.markdown(self.table, [bad, odd, lacking, slow, good], self.cache)
        self.assertIn("| `good` | net | `x` | 3.21 |", text)
        self.assertNotIn("bad", text)

    def test_a_row_that_takes_too_long_is_ended_with_all_that_it_started(self):
        row, mark = self.row("slow", f"(sleep 2; touch {self.folder}/ran) & sleep 30"), self.folder / "ran"
        row.seconds = 0.1
        self.assertIn("longer than", self.run_rows([row], budget=1.0)["slow"])
        tables.time.sleep(1.5)
        self.assertFalse(mark.exists())

    def test_rows_are_run_again_only_when_sources_or_commands_change(self):
        count = self.folder / "count"
        row = self.row("counted", f"echo x >> {count}; wc -l < {count}")
        cells = lambda: tables.markdown(self.table, [row], self.cache)  # noqa: E731
        self.run_rows([row])
        self.run_rows([row])
        self.assertIn("| 1 |", cells())
        self.assertEqual(tables.stale([row], self.cache, "abc"), [])
        self.run_rows([row], again=True)
        self.assertIn("| 2 |", cells())
        self.assertEqual(tables.stale([row], self.cache, "def"), ["counted"])
        self.run_rows([row], commit="def")
        self.assertIn("| 3 |", cells())
        self.assertIn("sources of def", cells())
        row.commands = [row.commands[0] + " "]
        self.assertEqual(tables.stale([row], self.cache, "def"), ["counted"])
        (self.cache / "counted.json").write_text("{")
        self.assertIn("No row of this table", cells())

    def test_a_row_stays_on_the_page_with_the_sources_that_it_was_measured_with(self):
        old, new = self.row("old", "echo 1"), self.row("new", "echo 2")
        self.run_rows([old])
        self.run_rows([new], commit="def")
        self.write_pages([old, new])
        page = (self.folder / "page.md").read_text()
        self.assertRegex(page, r"\| `old` .*\| 1 \|\n\| `new` .*\| 2 \|")
        self.assertIn("sources of abc: old.", page)
        self.assertIn("sources of def: new.", page)
        self.assertIn("# old: 0 s", (self.folder / "docs/benchmarks.md").read_text())

    def test_what_a_row_printed_stands_under_its_command_or_alone(self):
        row = self.row("good", "echo printed")
        self.run_rows([row])
        text = "<!-- output good -->\nold\n<!-- end of output -->\n<!-- printed good -->\nold\n<!-- end of output -->\n"
        self.assertEqual(tables.with_outputs(text, [row], self.cache),
                         "<!-- output good -->\n```text\n$ echo printed\nprinted\n```\n<!-- end of output -->\n"
                         "<!-- printed good -->\n```text\nprinted\n```\n<!-- end of output -->\n")

    def test_a_digest_says_of_the_same_rows_less(self):
        row = self.row("good", "echo 3.21")
        (self.folder / "page.md").write_text("<!-- table small -->\n<!-- end of table -->\n<!-- table brief -->\n<!-- end of table -->\n")
        digest = table_rows.Digest("brief", "page.md", ["good"], lambda rows: f"All took {rows['good'][0].strip()}.")
        self.write_pages([row], [digest])
        self.assertIn("`bench/tables.py --only good`", (self.folder / "page.md").read_text())
        self.run_rows([row])
        self.write_pages([row], [digest])
        self.assertRegex((self.folder / "page.md").read_text(), r"<!-- table brief -->\nAll took 3\.21\.\n\nMeasured .* sources of abc\.\n")

    def test_kept_outputs_name_no_folder_of_the_machine(self):
        row = self.row("good", f"echo {ROOT}/build/x")
        row.keep = lambda outputs: [outputs[0].upper()]
        self.run_rows([row])
        self.assertEqual(json.loads((self.cache / "good.json").read_text())["outputs"], ["BUILD/X\n"])

    def test_what_is_prepared_serves_all_rows_until_sources_change(self):
        made, count = self.folder / "made", self.folder / "count"
        prepare = [(f"echo x >> {count}; touch {made}", str(made))]
        rows = [self.row(name, f"wc -l < {count}", prepare=prepare) for name in ("one", "two")]
        self.assertEqual(self.run_rows(rows), {})
        self.assertEqual(count.read_text(), "x\n")
        self.run_rows(rows, commit="def")
        self.assertEqual(count.read_text(), "x\nx\n")

    def test_a_page_without_marks_stays_as_it_is(self):
        (self.folder / "page.md").write_text("no marks\n")
        row = self.row("good", "echo 1")
        self.run_rows([row])
        with self.assertRaisesRegex(tables.Failed, "page.md"):
            self.write_pages([row])
        self.assertEqual((self.folder / "page.md").read_text(), "no marks\n")
        self.assertFalse((self.folder / "docs/benchmarks.md").exists())


class Pages(Case):
    def test_every_figure_of_the_pages_is_one_that_was_measured(self):
        for page, text in tables.pages_of(table_rows.TABLES, table_rows.DIGESTS, table_rows.ROWS, tables.CACHE, ROOT).items():
            self.assertEqual((ROOT / page).read_text(), text, f"{page}: bench/tables.py --write-only writes it")

    def test_what_the_pages_say_of_language_models_was_measured(self):
        for file, content in language.pages_of(json.loads(language.KEPT.read_text())).items():
            self.assertEqual((ROOT / file).read_bytes(), content, f"{file}: bench/language.py --write-only writes it")

    def test_what_is_kept_belongs_to_a_row(self):
        names = {row.name for row in table_rows.ROWS}
        for file in tables.CACHE.glob("*.json"):
            self.assertIn(file.stem, names)
            self.assertNotIn(f"{ROOT}/", file.read_text(), file)


class Pictures(Case):
    SVG = "{http://www.w3.org/2000/svg}"

    def test_a_results_picture_has_every_layer_and_the_same_shapes_on_both_backgrounds(self):
        self.succeeds("quantize", self.net, "--calibration", self.calib, "--target-bits", "5", "-q", "-o", self.out)
        layers = json.loads((self.out / "recipe.dnateq.json").read_text())["layers"]
        report, shapes = picture.report_of(self.out), {}
        for background in picture.COLOURS:
            drawn = picture.picture(report, background)
            self.assertEqual(drawn, picture.picture(report, background))
            root = xml.fromstring(drawn)
            texts = [text.text for text in root.iter(self.SVG + "text")]
            for layer in layers:
                self.assertIn(picture.shorten(layer["name"], 23), texts)
            self.assertEqual(len(list(root.iter(self.SVG + "circle"))), len(layers) + 1)  # and the legend's
            self.assertIn("this result", texts)
            shapes[background] = re.sub(rb"#[0-9a-f]{6}", b"", drawn)
        self.assertEqual(shapes["light"], shapes["dark"])

    def test_what_cannot_be_drawn_is_said_in_a_sentence(self):
        with self.assertRaisesRegex(picture.Failed, "dnateq report"):
            picture.report_of(self.folder)
        with self.assertRaisesRegex(picture.Failed, "no quantized layer"):
            picture.picture({"layers": []}, "light")

    def test_a_language_models_picture_has_every_form_where_it_belongs(self):
        loss = {"dnateq, 3 bits on average": (3, .2), "dnateq, 4 bits everywhere": (4, .1), "llama.cpp Q4_0": (5, .05),
                "NNCF INT4_SYM, groups of 64": (5.5, .4)}
        rows = {name: {"bits": bits, "reference": {"kl": {"value": value}}} for name, (bits, value) in loss.items()}
        shapes = [re.sub(rb"#[0-9a-f]{6}", b"", language_picture.picture(rows, background)) for background in picture.COLOURS]
        self.assertEqual(shapes[0], shapes[1])
        root = xml.fromstring(shapes[0])
        texts = [text.text for text in root.iter(self.SVG + "text")]
        for label in ("3 on average", "4 everywhere", "Q4_0", "SYM 64", "dnateq", "llama.cpp", "NNCF"):
            self.assertEqual(texts.count(label), 1, label)
        circles = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(self.SVG + "circle")][1:]  # the first is the legend's
        self.assertLess(circles[0][0], circles[1][0])  # fewer bits further left
        self.assertLess(circles[0][1], circles[1][1])  # more loss further up
        with self.assertRaisesRegex(picture.Failed, "no form"):
            language_picture.picture({}, "light")

    def test_the_pictures_that_pages_show_are_whole(self):
        for page in ("README.md", language.PAGE, "docs/benchmarks.md"):
            shown = re.findall(r'(?:srcset|src)="([^"]+\.svg)"', (ROOT / page).read_text())
            self.assertEqual(len(set(shown)), 2, page)
            for name in shown:
                root = xml.parse((ROOT / page).parent / name).getroot()
                self.assertEqual(root.tag, self.SVG + "svg")
                self.assertGreater(sum(len(list(root.iter(self.SVG + mark))) for mark in ("circle", "path", "rect")), 10)


class Lines(Case):
    def test_accuracy_says_of_each_emission_what_the_recipe_says(self):
        summary = self.json_of("quantize", self.net, "--calibration", self.calib, "--validation", self.test, "--labels", self.labels,
                               "--target-bits", "5", "--emit", "both", "--int8", "none", "-o", self.out)
        recipe = json.loads((self.out / "recipe.dnateq.json").read_text())
        figures = accuracy.figures_of("resnet20", "optimal", "--target-bits 5", summary, recipe)
        report = picture.figures_of(picture.report_of(self.out))
        lines = list(table_rows.accuracy_lines([json.dumps([figures]), json.dumps(report)]))
        self.assertEqual([line[2] for line in lines], [f"`{e['emission']}`" for e in recipe["emissions"]])
        table = next(table for table in table_rows.TABLES if table.name == "accuracy")
        for line, emission in zip(lines, recipe["emissions"], strict=True):
            self.assertEqual(len(line), len(table.columns))
            self.assertEqual(line[4], f"{emission['bits_on_disk']:.2f}")
            self.assertEqual(line[6], f"{100 * emission['score']:.2f}")
        front = table_rows.front_table({"resnet20-optimal": [json.dumps([figures]), json.dumps(report)]})
        for emission in recipe["emissions"]:
            self.assertIn(f"{100 * emission['score']:.2f} % (", front)
        cpu = next(emission["bytes"] for emission in recipe["emissions"] if emission["emission"] == "cpu")
        self.assertIn(f"| {table_rows.size(report['bytes']['fp32'])}, –, {table_rows.size(cpu)} |", front)
        report["int8"] = 0.875
        report["bytes"].update(int8=12345, int8_is_estimate=False)
        front = table_rows.front_table({"resnet20-optimal": [json.dumps([figures]), json.dumps(report)]})
        self.assertIn(f"| 87.50 % | {table_rows.size(report['bytes']['fp32'])}, 12 kB, ", front)
        figures["goal"] = "--max-loss 1%"
        for certified in (False, True):
            figures["emissions"][0]["certified"] = certified
            (first, *_) = table_rows.accuracy_lines([json.dumps([figures])])
            self.assertEqual("(not certified)" in first[-1], not certified)

    def test_a_limit_on_other_data_and_a_cap_are_read(self):
        judged = {"value": 0.86, "samples": 5500, "reference": 0.87, "confidence": [-0.012, 0.002]}
        found = {"network": "alexnet", "certified": False, "emissions": [
            {"emission": "cpu", "bits_on_disk": 3.216, "loss": 0.004, "upper_bound": 0.0125, "others": judged}]}
        (line,) = table_rows.limit_lines([json.dumps(found)])
        self.assertEqual(line, ["AlexNet, CIFAR-10", "`cpu`", "3.22", "1.25 (not certified)", "87.00 %", "86.00 %",
                                "1.00 (−0.20 … 1.20)", "5,500"])
        (line,) = table_rows.capped_lines("AlexNet", [json.dumps(judged), json.dumps({**judged, "value": 0.85})])
        self.assertEqual(line, ["AlexNet", "87.00 %", "86.00 %", "87.00 %", "85.00 %", "5,500"])

    def test_the_accelerators_rows_are_read(self):
        row = {"network": "resnet20", "options": "--family free", "weight_bits": 4.125, "activation_bits": 4, "metric": "top1",
               "fp32": 0.9, "exact": 0.875, "confidence": [-0.03, -0.02], "design": "decode", "speed": 1.2, "energy": 1.8, "area": 1}
        (line,) = table_rows.accelerator_lines([json.dumps(row) + "\n"])
        self.assertEqual(line, ["ResNet-20, CIFAR-10, `--family free`", "4.12 / 4.00", "90.00", "87.50", "−3.00 … −2.00", "`decode`",
                                "1.20×", "1.80×", "1.00×"])
        table = next(table for table in table_rows.TABLES if table.name == "accelerator")
        self.assertEqual(len(line), len(table.columns))


if __name__ == "__main__":
    main()
