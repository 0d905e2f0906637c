"""dnateq simulate: built-in lists, results, recipes and models; sweeps; refused input."""

import csv
import json

from support import SHARED, Case, main, needs_shared_data, save, small_network

DESIGNS = ["int8", "counting", "counting-beta0", "shift", "decode"]


class SimulateLists(Case):
    def test_document_table_and_files(self):
        document = self.json_of("simulate", "alexnet", "-o", self.out)
        self.assertEqual(document, json.loads((self.out / "result.json").read_text()))
        self.assertEqual(sorted(p.name for p in self.out.iterdir()), ["layers.csv", "report.html", "result.json"])
        self.assertEqual([d["design"] for d in document["designs"]], DESIGNS)
        self.assertIn("paper's average", document["workload"]["layers"][0]["weights"]["origin"])
        for design in document["designs"]:
            self.assertEqual(design["macs"], document["workload"]["macs"])
            self.assertGreaterEqual(design["cycles"] * design["peak_macs_per_cycle"], design["macs"])
            self.assertAlmostEqual(sum(design["energy_pj"].values()) / design["total_energy_pj"], 1)
            self.assertEqual(sum(layer["cycles"]["total"] for layer in design["layers"]), design["cycles"])
        with open(self.out / "layers.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), len(DESIGNS) * len(document["workload"]["layers"]))
        energy = sum(float(row["energy_pj"]) for row in rows if row["design"] == "shift")
        self.assertAlmostEqual(energy / document["designs"][3]["total_energy_pj"], 1, places=6)
        page = (self.out / "report.html").read_text()
        self.assertTrue(page.startswith("<!DOCTYPE html>"))
        self.assertNotIn("http://", page.replace("http://www.w3.org/2000/svg", ""))
        table = self.succeeds("simulate", "alexnet")
        for design in DESIGNS:
            self.assertIn(design, table)
        self.assertRegex(table, r"\nlanes: int8 32 bits.*; counting n = 5, 10 bits; .*shift n = 5, q = 8, 10 bits; decode n = 5, 32 bits")

    def test_the_papers_bits_are_shown_under_both_readings(self):
        document = self.json_of("simulate", "transformer")
        stored, exponent = document["readings"]
        self.assertEqual((stored["bits_are"], exponent["bits_are"]), ("stored", "exponent"))
        self.assertAlmostEqual(stored["weight_bits"], 3.05)
        self.assertAlmostEqual(exponent["weight_bits"], 4.05)
        for own, design in zip(stored["designs"], document["designs"], strict=True):  # what the rest of the document is of
            self.assertEqual((own["design"], own["cycles"]), (design["design"], design["cycles"]))
        only = self.json_of("simulate", "transformer", "--bits-are", "exponent")
        self.assertEqual(only["readings"], [])
        self.assertEqual([own["cycles"] for own in exponent["designs"]], [design["cycles"] for design in only["designs"]])
        self.assertIn("read as exponent bits", only["workload"]["layers"][0]["weights"]["origin"])
        same = self.json_of("simulate", "transformer", "--bits", "3/4", "--bits-are", "exponent")
        other = self.json_of("simulate", "transformer", "--bits", "4/5")
        self.assertEqual([d["cycles"] for d in same["designs"]], [d["cycles"] for d in other["designs"]])
        self.assertEqual(other["readings"], [])
        self.assertRegex(self.succeeds("simulate", "transformer"), r"stored bits \(3.05 / 3.05 stored\) +exponent bits \(4.05 / 4.05")

    def test_same_bytes_at_any_threads(self):
        for threads in (1, 3):
            self.succeeds("simulate", "resnet50", "--sweep", "bits=3:6:1", "--sweep", "memory.access_pj_per_bit=2,8",
                          "--threads", threads, "-o", self.folder / f"out{threads}")
        for name in ("result.json", "layers.csv", "sweep.csv", "sweep.json", "report.html"):
            self.assertEqual((self.folder / "out1" / name).read_bytes(), (self.folder / "out3" / name).read_bytes(), name)

    def test_more_bits_never_cost_less(self):
        document = self.json_of("simulate", "resnet50", "--sweep", "bits=3:8:1", "--design", "decode")
        figures = [point["designs"][1] for point in document["sweep"]["points"]]
        for figure in ("cycles", "dram_bytes", "energy_pj"):
            values = [f[figure] for f in figures]
            self.assertEqual(values, sorted(values), figure)

    def test_sweep_over_two_keys(self):
        self.succeeds("simulate", "alexnet", "--bits", "4", "--sweep", "memory.access_pj_per_bit=1:3:1", "--sweep",
                      "array.rows=8,16", "--design", "shift", "-o", self.out)
        sweep = json.loads((self.out / "sweep.json").read_text())
        self.assertEqual([p["at"] for p in sweep["points"]], [[1, 8], [1, 16], [2, 8], [2, 16], [3, 8], [3, 16]])
        self.assertEqual([d["design"] for d in sweep["points"][0]["designs"]], ["int8", "shift"])
        with open(self.out / "sweep.csv", newline="") as file:
            self.assertEqual(len(list(csv.DictReader(file))), 12)

    def test_a_machine_of_ones_own(self):
        base = self.json_of("simulate", "alexnet", "--design", "shift")
        faster = self.json_of("simulate", "alexnet", "--design", "shift", "--set", "memory.access_pj_per_bit=1.35")
        self.assertLess(faster["designs"][0]["energy_pj"]["dram"], base["designs"][0]["energy_pj"]["dram"])
        self.assertEqual(faster["config"]["values"]["memory.access_pj_per_bit"], 1.35)
        self.assertIn("memory.access_pj_per_bit", faster["workload"]["notes"][0])


class SimulateModels(Case):
    def test_result_folder(self):
        self.quantize("--activation-bits", "5", "--emit", "exact")
        document = self.json_of("simulate", self.out, "--model", self.net, "--batch", "2", "-o", self.folder / "sim")
        layers = {layer["name"]: layer for layer in document["workload"]["layers"]}
        self.assertEqual(list(layers), ["conv1", "conv2", "head"])
        self.assertEqual(layers["conv1"]["rows"], 2 * 64)
        self.assertEqual(layers["conv2"]["producer"], 0)
        self.assertEqual(layers["head"]["producer"], -1)
        for layer in layers.values():
            self.assertEqual((layer["weights"]["stored_bits"], layer["activations"]["stored_bits"]), (4, 5))
            self.assertEqual((layer["weights"]["origin"], layer["activations"]["origin"]),
                             ("recipe, emitted codes", "recipe, calibration"))
        self.assertGreater(layers["conv2"]["activations"]["zero_fraction"], 0.2)  # a ReLU is before it
        self.assertEqual(document["designs"][0]["layers"][0]["weight_bits"], 8)

    def test_designs_are_marked_where_the_recipes_codes_are_not_theirs(self):
        families = {"free": {"decode"}, "shared-base": {"counting"}, "pow2:2": {"counting", "counting-beta0", "shift"}}
        for family, own in families.items():
            out = self.folder / family.replace(":", "")
            self.quantize("--activation-bits", "5", "--emit", "exact", "--family", family, out=out)
            document = self.json_of("simulate", out, "--model", self.net, "-o", self.folder / "sim")
            int8, *designs = document["designs"]
            self.assertIsNone(int8["codes"])
            self.assertEqual({d["design"] for d in designs if d["codes"]["own"]}, own, family)
            self.assertEqual({d["design"] for d in designs}, set(DESIGNS[1:]))
            table = self.succeeds("simulate", out, "--model", self.net)
            page = (self.folder / "sim/report.html").read_text()
            for design in designs:
                marked = f"* {design['design']}: not this recipe's codes in {design['codes']['foreign_layers']} of 3 layers"
                self.assertEqual(marked in table, design["design"] not in own, table)
            self.assertIn('"foreign_layers":', page)
            metric = json.loads((out / "recipe.dnateq.json").read_text())["metric"]
            self.assertEqual(document["recipe"]["metric"]["exact"], metric["exact"])
            self.assertIn("the recipe's cosine: FP32 1.0000, exact", table)
        lists = self.json_of("simulate", "alexnet")
        self.assertTrue(all(d["codes"]["own"] for d in lists["designs"][1:]))
        self.assertIsNone(lists["recipe"])

    def test_recipe_alone(self):
        self.quantize("--activation-bits", "5", "--emit", "exact")
        recipe = self.folder / "elsewhere.json"
        recipe.write_bytes((self.out / "recipe.dnateq.json").read_bytes())
        self.fails("simulate", recipe, names=("elsewhere.json", "--model"))
        document = self.json_of("simulate", recipe, "--model", self.net)
        self.assertIn("not measured", document["workload"]["layers"][0]["weights"]["origin"])
        measured = self.json_of("simulate", recipe, "--model", self.net, "--calibration", self.calib)
        self.assertEqual(measured["workload"]["layers"][1]["activations"]["origin"], "recipe, calibration")
        other = save(small_network(width=24), self.folder / "other.xml")
        self.fails("simulate", recipe, "--model", other, names=("elsewhere.json", "another model"))
        self.fails("simulate", self.out, "--model", other, names=("recipe.dnateq.json", "another model"))
        self.fails("simulate", self.out, "--bits", "4", names="--bits")
        self.fails("simulate", self.out, names=("net.xml", "--model"))  # noted there, and not read for that
        self.fails("simulate", self.out, "--model", "absent.xml", names=("absent.xml", "--model"))

    def test_model_with_bits(self):
        document = self.json_of("simulate", self.net, "--bits", "3/4", "--calibration", self.calib)
        first = document["workload"]["layers"][0]
        self.assertEqual((first["weights"]["stored_bits"], first["activations"]["stored_bits"]), (3, 4))
        self.assertGreater(document["workload"]["layers"][1]["activations"]["zero_fraction"], 0)
        plain = self.json_of("simulate", self.net, "--bits", "3/4")
        self.assertFalse(plain["workload"]["layers"][1]["activations"]["measured"])
        self.fails("simulate", self.net, names=("net.xml", "--bits"))

    def test_layers_and_activations_that_stay_in_fp32_run_in_8_bits(self):
        self.quantize("--activation-bits", "5", "--emit", "exact", "--ignore", "conv1")
        layers = self.json_of("simulate", self.out, "--model", self.net)["workload"]["layers"]
        self.assertEqual([layer["weights"]["stored_bits"] for layer in layers], [8, 4, 4])
        self.assertIn("FP32", layers[0]["activations"]["origin"])
        self.quantize("--weights-only", out=self.folder / "weights")
        layers = self.json_of("simulate", self.folder / "weights", "--model", self.net)["workload"]["layers"]
        self.assertEqual([layer["activations"]["stored_bits"] for layer in layers], [8, 8, 8])

    def test_layers_beyond_the_exponential_lanes_run_on_int8_lanes(self):
        # Behind a ReLU 8 bits are 255 levels of one sign: 8 exponent bits. The input has a sign: 7.
        self.quantize("--activation-bits", "8", "--emit", "exact")
        document = self.json_of("simulate", self.out, "--model", self.net)
        self.assertEqual([design["design"] for design in document["designs"]], DESIGNS)
        int8, *others = document["designs"]
        for design in others:
            layers = {layer["name"]: layer for layer in design["layers"]}
            self.assertEqual([layers[name]["int8_lanes"] for name in ("conv1", "conv2", "head")], [False, True, True])
            self.assertEqual([layers[name]["weight_bits"] for name in ("conv1", "conv2", "head")], [4, 8, 8])
            self.assertEqual(design["area_um2"]["int8_lanes"], int8["area_um2"]["lanes"])
            self.assertEqual(design["int8_lane"], int8["lane"])
            self.assertAlmostEqual(sum(design["area_um2"].values()) / design["total_area_um2"], 1)
        self.assertTrue(any("2 of 3 layers" in note and "conv2, head" in note for note in document["workload"]["notes"]))
        narrow = self.json_of("simulate", self.out, "--model", self.net, "--set", "array.int8_above_exponent_bits=6", "--design", "decode")
        self.assertTrue(all(layer["int8_lanes"] for layer in narrow["designs"][1]["layers"]))
        self.assertIsNone(narrow["designs"][1]["lane"])
        self.fails("simulate", self.out, "--model", self.net, "--set", "array.int8_above_exponent_bits=8", names="array.int8_above_exponent_bits")

    def test_recipe_of_a_newer_version(self):
        self.quantize("--emit", "exact")
        recipe = self.out / "recipe.dnateq.json"
        document = json.loads(recipe.read_text())
        document["version"] = 99
        recipe.write_text(json.dumps(document))
        self.fails("simulate", self.out, "--model", self.net, names=("recipe.dnateq.json", "99"))


class SimulateRealNetworks(Case):
    @needs_shared_data
    def test_counts_are_those_of_the_networks(self):
        # ResNet-20 (He et al., 2016), by hand: 432 + 6 x 2304 + 4608 + 5 x 9216 + 18432 + 5 x 36864 weights in its
        # convolutions, at 1024, 256 and 64 positions; 640 in the classifier.
        document = self.json_of("simulate", SHARED / "cifar10/resnet20.onnx", "--bits", "4")
        self.assertEqual((document["workload"]["weights"], len(document["workload"]["layers"])), (267696 + 640, 20))
        self.assertEqual(document["workload"]["macs"], 40550400 + 640)
        encoder = self.json_of("simulate", SHARED / "translation/encoder.onnx", "--bits", "4/5", "--shape", "src=2,20")
        attention = [layer for layer in encoder["workload"]["layers"] if layer["weights_are_activations"]]
        self.assertEqual({(a["groups"], a["rows"], a["outputs"] * a["inputs"]) for a in attention}, {(12, 20, 640)})
        self.fails("simulate", SHARED / "translation/encoder.onnx", "--bits", "4", names=("src", "--shape"))

    @needs_shared_data
    def test_a_decoding_step_reads_its_cache_from_memory(self):
        # Pre-norm decoder of 3 layers, width 192, 6 heads of 32: one token, 13 in the cache, a source of 27.
        shapes = [option for shape in ("tgt=1,1", "src_mask=1,1,1,27", "cross_*=1,6,27,32", "past_*=1,6,13,32")
                  for option in ("--shape", shape)]
        document = self.json_of("simulate", SHARED / "translation/decoder.onnx", "--bits", "4/5", *shapes)
        layers, designs = document["workload"]["layers"], {d["design"]: d["layers"] for d in document["designs"]}
        self.assertEqual(len(layers), 3 * 12 + 1)
        weights = 3 * (6 * 192 * 192 + 2 * 192 * 768) + 192 * 6000
        self.assertEqual(document["workload"]["weights"], weights)
        self.assertEqual(document["workload"]["macs"], weights + 3 * 2 * 192 * (14 + 27))
        for i, layer in enumerate(layers):
            if layer["weights_are_activations"]:
                context = 27 if "cross" in layer["name"] else 14
                self.assertEqual((layer["groups"], layer["rows"], layer["inputs"] * layer["outputs"]), (6, 1, 32 * context))
                self.assertEqual(designs["int8"][i]["bytes"]["weights"], 192 * context)  # keys or values, 8 bits
                self.assertEqual(designs["decode"][i]["compulsory_bytes"]["weights"], 192 * context * 5 // 8)
            if layer["name"].endswith((".qkv.k", ".qkv.v")):
                self.assertEqual(designs["int8"][i]["bytes"]["outputs"], 192)  # into the cache
        self.fails("simulate", SHARED / "translation/decoder.onnx", "--bits", "4", "--shape", "pats_*=1,6,13,32", names="pats_*")


class SimulateBadInput(Case):
    def refused(self, *arguments, names):
        return self.fails("simulate", *arguments, "-o", self.out, names=names)

    def test_names_and_numbers(self):
        self.refused("vgg", names=("vgg", "alexnet"))
        self.refused("alexnet", "--design", "analog", names=("analog", "counting-beta0"))
        self.refused("alexnet", "--set", "memory.vault=8", names="memory.vaults")
        self.refused("alexnet", "--set", "memory.vaults=-8", names="memory.vaults")
        self.refused("alexnet", "--set", "memory.vaults=1.5", names="memory.vaults")
        self.refused("alexnet", "--set", "memory.vaults=2000", names=("memory.vaults", "1024"))
        self.refused("alexnet", "--set", "memory.tfaw_ns=1e9", names="memory.trefi_ns")
        self.refused("alexnet", "--set", "array.int8_above_exponent_bits=1", names="array.int8_above_exponent_bits")
        self.refused("alexnet", "--set", "memory.vaults", names="KEY=NUMBER")
        self.refused("alexnet", "--sweep", "memory.vault=1:8:1", names="memory.vaults")
        self.refused("alexnet", "--sweep", "bits=8:3:1", names="FROM:TO:STEP")
        self.refused("alexnet", "--sweep", "bits=3:8:0.0000001", names="too many")
        for bits in ("1", "9", "4/1", "x", "4/", "nan"):
            self.refused("alexnet", "--bits", bits, names=("bits", "W/A" if bits in ("x", "4/", "nan") else "range"))
        for bits in ("1", "8/4", "4/9", "3.5"):
            self.refused(self.net, "--bits", bits, names="range")
        self.refused("alexnet", "--batch", "0", names="--batch")
        self.refused("alexnet", "--zeros", "2", names="zeros")
        self.refused("alexnet", "--bits-are", "both", names="--bits-are")
        self.refused("alexnet", "--bits-are", "exponent", "--bits", "8", names="the sign")
        self.refused(self.net, "--bits", "4", "--bits-are", "exponent", names=("--bits-are", "built-in"))
        self.refused(self.net, "--bits", "4", "--sweep", "bits=3:5:1", names="built-in")
        self.refused("alexnet", "--shape", "x=1", names="--shape")
        self.refused(self.net, "--bits", "4", "--shape", "x=1", names="image")

    def test_counters_too_narrow(self):
        self.refused("alexnet", "--design", "counting", "--set", "array.flush=0", "--set", "array.counter_bits=4",
                     names="counter")

    def test_a_design_that_is_not_possible(self):
        options = ("--set", "array.flush=0", "--set", "array.counter_bits=4", "--bits", "3")
        self.refused("alexnet", *options, "--design", "counting", names="counter")
        # Where all were meant, the others are shown: the table has no lanes of 12-bit counters.
        document = self.json_of("simulate", "alexnet", "--set", "array.counter_bits=12", "--bits", "3")
        self.assertEqual(document["designs"][0]["design"], "int8")
        self.assertNotIn("counting", [design["design"] for design in document["designs"]])
        self.assertTrue(any(note.startswith("counting is left out: ") for note in document["workload"]["notes"]))

    def test_configuration(self):
        config = self.folder / "machine.toml"
        self.refused("alexnet", "--config", config, names="machine.toml")
        for text in ("", "[memory]\nvaults = 16\n", "not toml"):
            config.write_text(text)
            self.refused("alexnet", "--config", config, names="machine.toml")
        self.refused("alexnet", "--energies", config, names="machine.toml")

    def test_output(self):
        self.quantize()
        self.fails("simulate", "alexnet", "-o", self.out, names=(str(self.out), "quantize", "-o"))
        (self.folder / "mine").mkdir()
        (self.folder / "mine/report.html").write_text("mine")
        self.fails("simulate", "alexnet", "-o", self.folder / "mine", names=("mine/report.html", "-o"))
        for _ in range(2):  # its own it replaces
            self.succeeds("simulate", "alexnet", "-o", self.folder / "sim")
        self.fails("simulate", "alexnet", "-o", self.calib, names=(str(self.calib), "-o"))
        self.fails("simulate", "alexnet", "-o", self.calib / "below", names=str(self.calib))
        for limit in (0, 1000, 20000):
            self.fails("simulate", "alexnet", "-o", self.folder / "a/b", file_limit=limit, out=self.folder / "a/b",
                       names=("a/b", "space"))

    def test_files_of_the_user_stay(self):
        self.out.mkdir()
        (self.out / "result.json").write_text("mine")
        self.fails("simulate", "vgg", "-o", self.out, names="vgg")
        self.assertEqual((self.out / "result.json").read_text(), "mine")


if __name__ == "__main__":
    main()
