"""Whether the tests can fail: broken copies of modules, and of a netlist, that must be caught.

A mutant is one change of text that must fit exactly once; the parts under test must then differ from the reference.
"""

import re
import shutil
import subprocess

import parts

_W, _A = parts.COUNTER_BITS, parts.ACCUMULATOR_BITS

# file, text, replacement, the part that must fail. They touch different parts, so that one build holds them all.
RTL_MUTANTS = (
    ("counting_lane.sv", "{{(COUNTER_BITS - 1) {down_q}}, 1'b1}", "{{(COUNTER_BITS - 1) {1'b0}}, 1'b1}",
     parts.Part("lane", "counting-beta0", 3, _W)),  # what Yosys 0.23 makes of a conditional of casts: always +1
    ("sram_counter.sv", "forward_q <= en_q & (index_i == index_q)", "forward_q <= 1'b0",
     parts.Part("lane", "counting-beta0", 3, _W, storage="sram")),
    ("shift_lane.sv", "| (down_q & (shift_q < b))", "", parts.Part("lane", "shift", 3, _W, 2)),
    ("int8_mac_lane.sv", "15'h0100}", "15'h0000}", parts.Part("lane", "int8", width=_A)),
    ("sign_magnitude_mac_lane.sv", ".carry_i(sum_down)", ".carry_i(1'b0)", parts.Part("lane", "int8", width=_A, sign_magnitude=True)),
    ("decode_lane.sv", "w_column[w_exponent_i]", "x_column[w_exponent_i]", parts.Part("lane", "decode", 3, _A)),
    ("quantizer.sv", "magnitude[s*M+:M] >= threshold", "magnitude[s*M+:M] > threshold", parts.Part("quantizer", "all", 3)),
    ("int8_quantizer.sv", "(doubled + 41'd1) >> 1", "doubled >> 1", parts.Part("quantizer", "int8", storage="none")),
    ("post_terms.sv", "value_valid_q ? value_last_q : first_q", "value_last_q", parts.Part("post", "counting-beta0", 3, _W)),
    ("post_accumulator.sv", "term_q ? last_q : first_q", "1'b0", parts.Part("post", "int8", width=_A, storage="none")),
    ("pe.sv", "pairs_q == HORIZON - 1", "pairs_q == 2 * HORIZON - 1", parts.Part("pe", "counting-beta0", 3, _W)),
)


def run(flow):
    """(caught, missed)"""
    caught = missed = 0
    folder = flow.BUILD / "mutants"
    modules = folder / "modules"
    shutil.rmtree(modules, ignore_errors=True)
    shutil.copytree(flow.RTL / "modules", modules)
    for name, old, new, _ in RTL_MUTANTS:
        text = (modules / name).read_text()
        if text.count(old) != 1:
            raise ValueError(f"mutant of {name} fits {text.count(old)} times: bring rtl/tools/mutants.py up to date")
        (modules / name).write_text(text.replace(old, new))
    group = [mutant[-1] for mutant in RTL_MUTANTS]
    program, _ = flow.build_cosim(folder, group, sorted(modules.glob("*.sv")), 2)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    for name, _, _, part in RTL_MUTANTS:
        good = any(line.startswith(part.id + " ") and "FAILED" in line for line in done.stdout.splitlines())
        flow.say(f"  mutant   {name:34} {'caught' if good else 'NOT CAUGHT: the test of ' + part.id + ' passes'}")
        caught, missed = caught + good, missed + (not good)

    # A netlist with one gate of another kind.
    part = parts.Part("lane", "counting-beta0", 3, _W)
    netlist_folder, key = flow.synthesise(part)
    stream = flow.vectors([part]) / f"{part.id}.correctness.hex"
    text, changes = re.subn(r"\bXNOR2X1\b", "XOR2X1", (netlist_folder / "netlist.v").read_text(), count=1)
    if changes != 1:
        raise ValueError(f"the netlist of {part.id} has no XNOR2X1 to break: bring rtl/tools/mutants.py up to date")
    broken = netlist_folder / "broken.v"
    broken.write_text(text)
    _, wrong = flow.once(netlist_folder / "broken.done", flow.digest(key, stream, text), lambda: flow.simulate(
        part, netlist_folder, broken, stream))
    flow.say(f"  mutant   {'netlist with a gate swapped':34} {'caught' if wrong else 'NOT CAUGHT'}")
    return caught + (wrong > 0), missed + (wrong == 0)
