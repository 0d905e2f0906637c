#!/usr/bin/env python3
"""Unit tests of the energy tool: a netlist and a Liberty file that one can check by hand."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
RTL = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(RTL / "tools"))
import energy  # noqa: E402
import liberty  # noqa: E402
import parts  # noqa: E402

LIBERTY = """
library(tiny) {
  time_unit : "1ns"; voltage_unit : "1V"; leakage_power_unit : "1nW"; capacitive_load_unit (1,pf);
  nom_voltage : 2.0;
  lu_table_template(t) { variable_1 : total_output_net_capacitance; variable_2 : input_net_transition; }
  power_lut_template(e) { variable_1 : total_output_net_capacitance; variable_2 : input_transition_time; }
  power_lut_template(p) { variable_1 : input_transition_time; }
  cell (INV) {
    area : 16; cell_leakage_power : 0.5;
    pin(A) { direction : input; capacitance : 0.010; }
    pin(Y) { direction : output; capacitance : 0; function : "(!A)";
      timing() { related_pin : "A";
        rise_transition(t) { index_1 ("0.0, 0.1"); index_2 ("0.0, 1.0"); values ("0.1, 0.1", "0.5, 0.5"); }
        fall_transition(t) { index_1 ("0.0, 0.1"); index_2 ("0.0, 1.0"); values ("0.1, 0.1", "0.3, 0.3"); } }
      internal_power() { related_pin : "A";
        rise_power(e) { index_1 ("0.0, 0.1"); index_2 ("0.0, 1.0"); values ("0.02, 0.04", "0.03, 0.05"); }
        fall_power(e) { index_1 ("0.0, 0.1"); index_2 ("0.0, 1.0"); values ("0.01, 0.01", "0.01, 0.01"); } } } }
  cell (SINK) {
    area : 10; cell_leakage_power : 0.25;
    pin(D) { direction : input; capacitance : 0.050;
      internal_power() { rise_power(p) { index_1 ("0.0, 1.0"); values ("0.1, 0.3"); }
                         fall_power(p) { index_1 ("0.0, 1.0"); values ("0.2, 0.2"); } } } }
}
"""
NETLIST = """{"modules": {"top": {
  "ports": {"clk_i": {"direction": "input", "bits": [2]}, "a_i": {"direction": "input", "bits": [3]}},
  "cells": {"u1": {"type": "INV", "connections": {"A": [3], "Y": [4]}}, "u2": {"type": "SINK", "connections": {"D": [4]}}},
  "netnames": {"clk_i": {"bits": [2]}, "a_i": {"bits": [3]}, "y": {"bits": [4]}}}}}"""
VCD = """$timescale 1ns $end
$scope module bench $end
$var reg 4 p phase [3:0] $end
$scope module u_dut $end
$var wire 1 c clk_i $end
$var wire 1 a a_i $end
$var wire 1 y y $end
$upscope $end
$upscope $end
$enddefinitions $end
b0001 p
0c
xa
xy
#1
0a
1y
#2
1c
#3
0c
1a
0y
#4
1c
0a
1y
#5
b0010 p
0c
1a
0y
""".splitlines(keepends=True)


def files():
    folder = pathlib.Path(tempfile.mkdtemp())
    (folder / "tiny.lib").write_text(LIBERTY)
    (folder / "top.json").write_text(NETLIST)
    return folder


class Energy(unittest.TestCase):
    def test_one_inverter_costs_what_one_adds_up_by_hand(self):
        folder = files()
        found = energy.measure(liberty.Library(folder / "tiny.lib"), energy.Netlist(folder / "top.json", "top"), VCD)
        self.assertEqual(found["area_um2"], 26)
        self.assertEqual(found["leakage_nw"], 0.75)
        one = found["phases"][1]
        self.assertEqual(one["cycles"], 2)
        # a rises and falls once on 10 fF, y falls and rises once on 50 fF; what comes from x does not count. 1/2 C V^2, V = 2.
        self.assertAlmostEqual(one["switching_pj"], 2 * 0.5 * 0.010 * 4 + 2 * 0.5 * 0.050 * 4)
        # Inverter at half the load axis and a tenth of the transition axis: rise 0.025 + 0.1 x 0.02, fall 0.01.
        self.assertAlmostEqual(one["internal_pj"], 0.027 + 0.01)
        # y's transition time: the slower, 0.3 ns: its rise at D costs 0.1 + 0.3 x 0.2, its fall 0.2.
        self.assertAlmostEqual(one["pins_pj"], 0.16 + 0.2)
        two = found["phases"][2]
        self.assertAlmostEqual(two["total_pj"], 0.5 * 0.010 * 4 + 0.5 * 0.050 * 4 + 0.01 + 0.2)

    def test_units_that_it_does_not_know_are_refused(self):
        folder = files()
        (folder / "tiny.lib").write_text(LIBERTY.replace("(1,pf)", "(1,ff)"))
        with self.assertRaisesRegex(liberty.LibertyError, "capacitive_load_unit"):
            liberty.Library(folder / "tiny.lib")

    def test_cells_without_energies_are_refused(self):
        folder = files()
        (folder / "top.json").write_text(NETLIST.replace("INV", "NAND"))
        with self.assertRaisesRegex(energy.EnergyError, "NAND"):
            energy.Model(liberty.Library(folder / "tiny.lib"), energy.Netlist(folder / "top.json", "top"))

    def test_a_net_that_the_vcd_lacks_is_refused(self):
        folder = files()
        lines = [line for line in VCD if "var wire 1 y" not in line]
        with self.assertRaisesRegex(energy.EnergyError, "not in the VCD"):
            energy.measure(liberty.Library(folder / "tiny.lib"), energy.Netlist(folder / "top.json", "top"), lines)


class Parts(unittest.TestCase):
    def test_every_design_lasts_for_as_many_pairs(self):
        for part in parts.lanes():
            if part.width in (10, 24):
                self.assertEqual(part.horizon, 490, part.id)

    def test_generate_writes_the_variants_and_refuses_them_elsewhere(self):
        def generate(*options):
            return subprocess.run([sys.executable, RTL / "generate", *options], capture_output=True, text=True, check=False)

        lane = generate("lane", "--design", "int8", "--counter-bits", "32", "--sign-magnitude", "--product-register")
        self.assertIn("sign_magnitude_mac_lane #(.ACCUMULATOR_BITS(32), .PRODUCT_REGISTER(1))", lane.stdout)
        self.assertIn(".PRODUCT_REGISTER(1)", generate("pe", "--design", "decode", "--exponent-bits", "3", "--product-register").stdout)
        for options in (("lane", "--design", "shift", "--exponent-bits", "3", "--q", "2", "--product-register"),
                        ("lane", "--design", "decode", "--exponent-bits", "3", "--sign-magnitude"), ("pe", "--design", "int8", "--sign-magnitude")):
            refused = generate(*options)
            self.assertEqual(refused.returncode, 1)
            self.assertRegex(refused.stderr, "^generate: --(product-register|sign-magnitude) is for")

    def test_names_are_unique(self):
        names = [part.id for part in parts.simulated()]
        self.assertEqual(len(names), len(set(names)))


if __name__ == "__main__":
    unittest.main()
