"""Writes rtl/results/ from the flow's figures: the simulator's energy table (TOML), a table to read (Markdown) and Accelergy's form.

Nothing here is measured or assumed except SRAM_*: energies of counters and constants that lie in an SRAM.
"""

import json

import parts

# Read + write of an n-exponent-bit lane's counters, pJ, CACTI, 45 nm, 12-bit words (design/hardware.md of the project): all four
# histograms, or only that of i + j. Where it has no figure there is none here, and such a lane has no entry in the table.
SRAM_COUNTERS_PJ = {"counting": {3: 1.0, 4: 1.3, 5: 2.2, 6: 3.5, 7: 4.8}, "counting-beta0": {5: 1.0, 6: 1.5, 7: 1.9}}
SRAM_COUNTERS_NM, SRAM_COUNTERS_V = 45, 1.0
# Read of a table of constants: CACTI, 32 nm: words, word bits, pJ a read.
SRAM_TABLES = ((64, 12, 0.197), (256, 12, 0.400), (512, 16, 0.79))
SRAM_TABLES_NM, SRAM_TABLES_V = 32, 0.9
# 32 KB x 64 bits at 32 nm: 56,605 um2.
SRAM_UM2_PER_BIT, SRAM_AREA_NM = 56605 / (32 * 1024 * 8), 32
NM, VOLT = 180, 1.8


def energy_scale(nm, volt):
    """Assumed: energy goes with length times voltage squared."""
    return NM / nm * (VOLT / volt) ** 2


def area_scale(nm):
    """Assumed: area goes with length squared."""
    return (NM / nm) ** 2


def sram_of_lane(part):
    """(pJ a pair at OSU018's node, um2, where from) or None"""
    at_node = SRAM_COUNTERS_PJ[part.design].get(part.n)
    if at_node is None:
        return None
    scale = energy_scale(SRAM_COUNTERS_NM, SRAM_COUNTERS_V)
    rows = part.rows - (1 if part.histograms == 4 else 0)  # the sign's counter is a register
    area = rows * part.width * SRAM_UM2_PER_BIT * area_scale(SRAM_AREA_NM)
    return at_node * scale, area, (f"SRAM {at_node * scale:.2f} pJ a pair = CACTI {SRAM_COUNTERS_NM} nm {at_node} pJ (12 bits, read + "
                                   f"write) x {scale:.2f} assumed to 180 nm; SRAM area {area:.0f} um2 from 0.216 um2 a bit at 32 nm, "
                                   "assumed")


def sram_of_post(part):
    words, bits, at_node = next(table for table in SRAM_TABLES if table[0] >= part.rows)
    scale = energy_scale(SRAM_TABLES_NM, SRAM_TABLES_V)
    picojoules = at_node * 16 / bits * scale
    area = part.rows * 16 * SRAM_UM2_PER_BIT * area_scale(SRAM_AREA_NM)
    return picojoules, area, (f"SRAM of constants {picojoules:.2f} pJ a read = CACTI {SRAM_TABLES_NM} nm {at_node} pJ ({words} x {bits} "
                              f"bits) x 16/{bits} x {scale:.2f} assumed to 180 nm; its area {area:.0f} um2, assumed")


def per_cycle(figures, phase):
    found = figures["phases"][str(phase)] if str(phase) in figures["phases"] else figures["phases"][phase]
    return found["total_pj"] / found["cycles"]


def lane_row(part, figures):
    row = {"part": part, "area": figures["area_um2"], "period": figures["period_ns"], "leakage": figures["leakage_nw"],
           "idle": per_cycle(figures, 4), "active": per_cycle(figures, 1), "mixed": per_cycle(figures, 2), "drain": per_cycle(figures, 3),
           "cycles": 1, "sram_pj": 0.0, "sram_um2": 0.0, "gates": figures}
    row["source"] = "980 pairs without zero; Gaussian weights, Laplacian activations (rtl/README.md); gate-level transitions"
    if part.storage == "sram":
        sram = sram_of_lane(part)
        if sram is None:
            return None
        row["sram_pj"], row["sram_um2"], text = sram
        row["source"] += f"; gates {row['active']:.2f} pJ + {text}"
        row["active"] += row["sram_pj"]
        row["mixed"] += row["sram_pj"] * 0.55  # a pair with a zero touches no memory
        row["drain"] += row["sram_pj"]
        row["area"] += row["sram_um2"]
    return row


def rows_of(figures):
    lanes = [row for row in (lane_row(p, figures[p.id]) for p in parts.lanes() if p.id in figures) if row]
    drains = {(r["part"].design, r["part"].n, r["part"].q, r["part"].width): r
              for r in sorted(lanes, key=lambda r: -r["active"]) if r["part"].storage == "registers"}  # of several, the one that is used
    posts = []
    for part in parts.posts() + [parts.Part("post", "decode", n, width, storage="none") for n in range(3, 8)
                                 for width in (parts.ACCUMULATOR_BITS, parts.WIDE)]:
        found = figures.get(f"post_int8_w{part.width}" if part.design == "decode" else part.id)
        lane = drains.get((part.design, part.n, part.q, part.width))
        if not found or not lane:
            continue
        row = {"part": part, "area": found["area_um2"], "period": found["period_ns"], "leakage": found["leakage_nw"],
               "idle": per_cycle(found, 4), "active": per_cycle(found, 1), "cycles": part.rows, "sram_pj": 0.0, "sram_um2": 0.0,
               "gates": found}
        row["source"] = f"outputs back to back, mean over their cycles; lane's draining {lane['drain']:.2f} pJ a row included"
        if part.design == "decode":
            row["source"] += "; the unit is int8's, measured with int8's accumulators"
        if part.storage == "sram":
            row["sram_pj"], row["sram_um2"], text = sram_of_post(part)
            row["source"] += f"; gates {row['active']:.2f} pJ + {text}"
        row["active"] += lane["drain"] + row["sram_pj"]
        row["area"] += row["sram_um2"]
        posts.append(row)
    quantizers = []
    for part in parts.quantizers():
        if part.id not in figures:
            continue
        found = figures[part.id]
        quantizers.append({"part": part, "area": found["area_um2"], "period": found["period_ns"], "leakage": found["leakage_nw"],
                           "idle": per_cycle(found, 4), "active": per_cycle(found, 1), "cycles": 1, "sram_pj": 0.0, "sram_um2": 0.0,
                           "gates": found, "source": "1000 Laplacian magnitudes of 24 bits, one a cycle; gate-level transitions"})
    return lanes, posts, quantizers


def storage_of(row):
    part = row["part"]
    return "none" if part.name == "quantizer" or (part.name == "lane" and part.design in ("int8", "decode", "shift")) else part.storage


def toml(lanes, posts, quantizers, source):
    text = f"""# Written by make rtl-report; do not edit. Format: src/accelerator/energy_table.h.
# A post part's active_pj is a clock cycle's, {'{'}cycles{'}'} of them make an output: the lane's draining is in it, the quantizer is not.
# Before layout: no wires, no clock tree.
format = "dnateq-energy-1"
technology = "OSU018, 180 nm, 1.8 V, typical"
source = {json.dumps(source)}
"""
    for row in lanes + posts + quantizers:
        part = row["part"]
        bits = part.term_bits if part.name != "quantizer" else 0
        text += f"""
[[part]]
name = "{part.name}"
design = "{part.design}"
exponent_bits = {part.n}
counter_bits = {part.width if part.name != "quantizer" else 0}
"""
        if part.q:
            text += f"q = {part.q}\n"
        if part.design == "shift":
            text = text.rstrip("\n") + f"  # accumulators of {bits} bits: counter_bits and the largest shift\n"
        if part.variant:
            text += f'variant = "{part.variant}"\n'
        if part.name == "lane":
            text += f"horizon = {part.horizon}\n"
        text += f"""storage = "{storage_of(row)}"
area_um2 = {row['area']:.1f}
period_ns = {row['period']:.2f}
leakage_nw = {row['leakage']:.2f}
idle_pj = {row['idle']:.3f}
active_pj = {row['active']:.3f}
cycle_pj_source = {json.dumps(row['source'])}
cycles = {row['cycles']}
"""
    return text


def label(part):
    text = part.design + (f" n={part.n}" if part.n else "") + (f" q={part.q}" if part.q else "")
    if part.design in ("int8", "decode") and part.name != "quantizer":
        text += f", {part.width} bits"
    return text + (f", {part.variant}" if part.variant else "") + (", SRAM" if part.storage == "sram" else "")


def markdown(lanes, posts, quantizers, source, checks):
    base = min((r for r in lanes if r["part"].design == "int8" and r["part"].width == parts.ACCUMULATOR_BITS), key=lambda r: r["active"])
    text = f"""# OSU018: lanes against INT8

Written by `make rtl-report`; do not edit. {source}. Tested in the same run: {checks}.

180 nm, 1.8 V, 25 C, typical; before layout. Ratios are to the most frugal INT8 lane with a 24-bit accumulator ({label(base['part'])}),
which like 10-bit counters lasts 490 worst-case pairs. Dense: pairs without zeros; 45 %: that share of activations is zero; idle: one operand of each pair is zero.
SRAM lanes: logic from gates, memory from CACTI at 45 nm, scaled (assumed, see `cycle_pj_source` in the TOML).

| lane | area um2 | ratio | period ns | dense pJ | ratio | 45 % pJ | ratio | idle pJ | leakage nW |
|---|---|---|---|---|---|---|---|---|---|
"""
    for r in lanes:
        text += (f"| {label(r['part'])} | {r['area']:.0f} | {r['area'] / base['area']:.2f} | {r['period']:.2f} | {r['active']:.2f} | "
                 f"{r['active'] / base['active']:.2f} | {r['mixed']:.2f} | {r['mixed'] / base['mixed']:.2f} | {r['idle']:.2f} | "
                 f"{r['leakage']:.1f} |\n")
    shares = [r["mixed"] / (0.55 * r["active"] + 0.45 * r["idle"]) for r in lanes]
    text += f"""
The 45 % stream costs {min(shares):.2f} to {max(shares):.2f} times 0.55 x dense + 0.45 x idle: what a reader of the TOML, which has those two,
makes of it.

| post-processing | area um2 | cycles an output | pJ an output, draining included | period ns |
|---|---|---|---|---|
"""
    for r in posts:
        text += f"| {label(r['part'])} | {r['area']:.0f} | {r['cycles']} | {r['active'] * r['cycles']:.1f} | {r['period']:.2f} |\n"
    text += """
| quantizer | area um2 | pJ a value | period ns |
|---|---|---|---|
"""
    for r in quantizers:
        text += f"| {label(r['part'])} | {r['area']:.0f} | {r['active']:.2f} | {r['period']:.2f} |\n"
    return text


def accelergy(lanes, posts, quantizers, source):
    text = f"""# Written by make rtl-report; do not edit. Energy reference table in the manner of Accelergy: pJ an action, um2.
# {source}
ERT:
  version: "0.4"
  tables:
"""
    for row in lanes + posts + quantizers:
        part = row["part"]
        text += f"    - name: {part.id}\n      actions:\n"
        actions = {"lane": (("pair", "active"), ("zero_pair", "idle"), ("drain_row", "drain")), "post": (("row", "active"), ("idle", "idle")),
                   "quantizer": (("value", "active"), ("idle", "idle"))}[part.name]
        for action, key in actions:
            text += f"        - name: {action}\n          arguments: {{}}\n          energy: {row[key]:.3f}\n"
    text += "ART:\n  version: \"0.4\"\n  tables:\n"
    for row in lanes + posts + quantizers:
        text += f"    - name: {row['part'].id}\n      area: {row['area']:.1f}\n"
    return text


def write(folder, figures, versions, checks):
    yosys = " ".join(versions["yosys"].split()[:2])
    source = f"make rtl-report, {yosys}, {versions['iverilog'].split('(')[0].strip()}, OpenSTA {versions['sta'].split()[-1]}"
    rows = rows_of(figures)
    (folder / "osu018.toml").write_text(toml(*rows, source))
    (folder / "osu018.md").write_text(markdown(*rows, source, checks))
    (folder / "osu018.accelergy.yaml").write_text(accelergy(*rows, source))
