"""bench/tables.py: its rows' commands are ones that the programs take, and measuring, resuming and writing pages work."""

import json
import re
import shlex
import sys
from pathlib import Path

from support import BINARY, ROOT, Case, main

sys.path.insert(0, str(ROOT / "bench"))
import accuracy  # noqa: E402
import rows as table_rows  # noqa: E402
import tables  # noqa: E402


class Rows(Case):
    """What no test has the time to run must still be right as far as that can be seen."""

    def test_every_command_names_options_that_its_program_has(self):
        helps = {}
        for row in table_rows.ROWS:
            for command in [*(c for c, _ in row.prepare), *row.commands]:
                words = shlex.split(command)
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

    def test_a_network_is_quantized_and_its_line_stands_in_the_pages(self):
        command = (f"{BINARY} quantize {self.net} --calibration {self.calib} --target-bits 5 -q -o {self.out} --json")
        row = table_rows.Row("net", "small", 1, [command, f"{BINARY} inspect {self.out} --json"],
                             lambda outputs: [["small", f"`{e['emission']}`", f"{e['bits_on_disk']:.2f}"]
                                              for e in json.loads(outputs[1])["emissions"]])
        self.assertEqual(self.run_rows([row]), {})
        pages = tables.write_pages([self.table], [row], self.cache, "abc", self.folder)
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
        text = tables.markdown(self.table, [bad, odd, lacking, slow, good], self.cache, "abc")
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
        cells = lambda commit: tables.markdown(self.table, [row], self.cache, commit)  # noqa: E731
        self.run_rows([row])
        self.run_rows([row])
        self.assertIn("| 1 |", cells("abc"))
        self.run_rows([row], again=True)
        self.assertIn("| 2 |", cells("abc"))
        self.assertIn("No row of this table", cells("def"))
        self.run_rows([row], commit="def")
        self.assertIn("| 3 |", cells("def"))
        (self.cache / "counted.json").write_text("{")
        self.assertIn("No row of this table", cells("def"))

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
            tables.write_pages([self.table], [row], self.cache, "abc", self.folder)
        self.assertEqual((self.folder / "page.md").read_text(), "no marks\n")
        self.assertFalse((self.folder / "docs/benchmarks.md").exists())


class Lines(Case):
    def test_accuracy_says_of_each_emission_what_the_recipe_says(self):
        summary = self.json_of("quantize", self.net, "--calibration", self.calib, "--validation", self.test, "--labels", self.labels,
                               "--target-bits", "5", "--emit", "both", "-o", self.out)
        recipe = json.loads((self.out / "recipe.dnateq.json").read_text())
        figures = accuracy.figures_of("resnet20", "optimal", "--target-bits 5", summary, recipe)
        lines = list(table_rows.accuracy_lines([json.dumps([figures])]))
        self.assertEqual([line[2] for line in lines], [f"`{e['emission']}`" for e in recipe["emissions"]])
        table = next(table for table in table_rows.TABLES if table.name == "accuracy")
        for line, emission in zip(lines, recipe["emissions"], strict=True):
            self.assertEqual(len(line), len(table.columns))
            self.assertEqual(line[4], f"{emission['bits_on_disk']:.2f}")
            self.assertEqual(line[6], f"{100 * emission['score']:.2f}")

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
