#!/usr/bin/env python3
"""From SystemVerilog to tested netlists and the energy table. `make rtl-test` and `make rtl-report` run it.

  flow.py test      a short set: co-simulation, mutants, netlists of the main lanes, unit tests of the tools
  flow.py report    all parts, then writes rtl/results/ (--most-exponent-bits N: only parts up to N, and so a smaller table)
  flow.py part ID   one part through everything, its figures as JSON (--code-bits N: given codes of fewer exponent bits)

What was done once for the same sources and tools is not done again (build/rtl/*/*.done).
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import energy  # noqa: E402
import liberty  # noqa: E402
import mutants  # noqa: E402
import parts  # noqa: E402
import results  # noqa: E402

RTL = pathlib.Path(__file__).resolve().parent.parent
ROOT = RTL.parent
BUILD = pathlib.Path(os.environ.get("DNATEQ_RTL_BUILD") or ROOT / "build" / "rtl")
MODULES = sorted((RTL / "modules").glob("*.sv"))
TECHNOLOGY = pathlib.Path(os.environ.get("DNATEQ_OSU018", "/usr/share/qflow/tech/osu018"))
LIBERTY = TECHNOLOGY / "osu018_stdcells.lib"
CELLS = TECHNOLOGY / "osu018_stdcells.v"
TOOLS = {"verilator": "verilator", "yosys": "yosys", "iverilog": "iverilog", "sta": "opensta"}
_print = threading.Lock()
_vectors = threading.Lock()


class FlowError(RuntimeError):
    pass


def say(text):
    with _print:
        print(text, flush=True)


def missing_tools():
    missing = [package for program, package in TOOLS.items() if not shutil.which(program)]
    if not LIBERTY.exists() or not CELLS.exists():
        missing.append("qflow-tech-osu018")
    return missing


def run(command, log, cwd=None, timeout=1800):
    """Runs it, output to `log`; an error names the log and its last lines."""
    with open(log, "w", encoding="utf-8") as out:
        done = subprocess.run([str(c) for c in command], stdout=out, stderr=subprocess.STDOUT, cwd=cwd, timeout=timeout, check=False)
    if done.returncode:
        tail = pathlib.Path(log).read_text(errors="replace").strip().splitlines()[-6:]
        raise FlowError(f"{command[0]} failed, see {log}: " + " | ".join(tail))


def version(program):
    arguments = {"iverilog": ["-V"], "sta": ["-version"], "yosys": ["-V"], "verilator": ["--version"]}[program]
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[0] if (done.stdout + done.stderr).strip() else "unknown"


def digest(*pieces):
    total = hashlib.sha256()
    for piece in pieces:
        total.update(piece.read_bytes() if isinstance(piece, pathlib.Path) else str(piece).encode())
        total.update(b"\0")
    return total.hexdigest()


def once(stamp, key, work):
    """`work()` unless the stamp says that it was done for this key; its JSON result is kept."""
    if stamp.exists():
        kept = json.loads(stamp.read_text())
        if kept["key"] == key:
            return kept["result"]
    result = work()
    stamp.write_text(json.dumps({"key": key, "result": result}))
    return result


def modules_of(text):
    """The files of the modules that this text instantiates, directly or not, in MODULES' order."""
    found, waiting = set(), [text]
    while waiting:
        text = waiting.pop()
        for file in MODULES:
            if file not in found and re.search(rf"^\s*{file.stem}\b", text, re.M):
                found.add(file)
                waiting.append(re.sub(rf"^module {file.stem}\b", "", file.read_text(), flags=re.M))
    return [file for file in MODULES if file in found]


# ---- co-simulation ----

TEST_FILES = [RTL / "tests" / name for name in ("cosim.cc", "reference.cc", "reference.h", "vectors.h", "layer_file.cc", "layer_file.h")]
LAYERS = sorted((RTL / "tests" / "layers").glob("*.txt"))
VERILATOR = ["verilator", "--cc", "--exe", "-O3", "--x-assign", "0", "-Wall", "-Wno-DECLFILENAME", "-Wno-WIDTH", "-Wno-UNUSED",
             "-Wno-UNSIGNED", "-Wno-PINCONNECTEMPTY", "--top-module", "everything"]


def build_cosim(folder, group, modules, jobs=1):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "everything.sv").write_text(parts.everything(group))
    (folder / "parts_table.h").write_text('#pragma once\n#include "vectors.h"\nnamespace dnateq::rtl {\n' + parts.cpp_table(group) + "}\n")
    key = digest(*TEST_FILES, *modules, folder / "everything.sv", " ".join(VERILATOR), version("verilator"))

    # What does not depend on the parts (half a minute of compiling a build): Verilator's run time and the reference.
    shared = BUILD / "objects" / digest(*TEST_FILES[1:], version("verilator"))[:16]
    same_for_all = ("verilated.o", "verilated_threads.o", "reference.o")

    def work():
        objects = folder / "obj"
        shutil.rmtree(objects, ignore_errors=True)
        run([*VERILATOR, "--Mdir", objects, "-CFLAGS", f"-std=c++20 -O1 -I{RTL / 'tests'} -I{folder}", *modules, folder / "everything.sv",
             RTL / "tests" / "cosim.cc", RTL / "tests" / "reference.cc", RTL / "tests" / "layer_file.cc"], folder / "verilator.log")
        for name in same_for_all:
            if (shared / name).exists():
                shutil.copy(shared / name, objects / name)
        run(["make", "-s", "-j", str(jobs), "-C", objects, "-f", "Veverything.mk", "OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1"],
            folder / "build.log")
        shared.mkdir(parents=True, exist_ok=True)
        for name in same_for_all:
            if (objects / name).exists() and not (shared / name).exists():
                shutil.copy(objects / name, shared / f"{name}.{os.getpid()}.{threading.get_ident()}")
                os.replace(shared / f"{name}.{os.getpid()}.{threading.get_ident()}", shared / name)
        return True

    once(folder / "build.done", key, work)
    return folder / "obj" / "Veverything", key


def cosim(name, group, jobs=1):
    """Returns (passed, failed)."""
    folder = BUILD / "cosim" / name
    program, _ = build_cosim(folder, group, modules_of(parts.everything(group)), jobs)
    traces = folder / "traces"
    traces.mkdir(exist_ok=True)
    done = subprocess.run([program, "--write", traces], capture_output=True, text=True, check=False)
    failed = sum("FAILED" in line for line in done.stdout.splitlines())
    for line in done.stdout.splitlines()[:-1]:
        say(f"  rtl      {line}")
    if done.returncode not in (0, 1) or (done.returncode == 1) != (failed > 0):
        raise FlowError(f"co-simulation {name} ended with status {done.returncode}: {done.stderr.strip()}")
    return len(group) - failed, failed


def trained_layers(name, group, jobs=1):
    """The counters of trained networks' layers: RTL against the library's counting. Returns (passed, failed)."""
    program, _ = build_cosim(BUILD / "cosim" / name, group, modules_of(parts.everything(group)), jobs)
    passed = 0
    for layer in LAYERS:
        done = subprocess.run([program, "--counters", layer], capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines()[:-1]:
            say(f"  layer    {line}")
        if done.returncode not in (0, 1):
            raise FlowError(f"counters of {layer.name}: status {done.returncode}: {done.stderr.strip()}")
        passed += done.returncode == 0
    return passed, len(LAYERS) - passed


def vectors(group, code_bits=0):
    """Folder of the reference's vectors of these parts, made by a program without RTL."""
    folder = BUILD / "vectors"
    folder.mkdir(parents=True, exist_ok=True)
    everything = parts.measured()
    table = '#pragma once\n#include "vectors.h"\nnamespace dnateq::rtl {\n' + parts.cpp_table(everything) + "}\n"
    (folder / "parts_table.h").write_text(table)
    key = digest(RTL / "tests" / "make_vectors.cc", *TEST_FILES[1:], table)

    def build():
        run(["g++", "-std=c++20", "-O1", f"-I{RTL / 'tests'}", f"-I{folder}", RTL / "tests" / "make_vectors.cc",
             RTL / "tests" / "reference.cc", "-o", folder / "make_vectors"], folder / "build.log")
        for old in folder.glob("*.hex"):
            old.unlink()
        return True

    with _vectors:
        once(folder / "build.done", key, build)
        place = folder / f"codes{code_bits}" if code_bits else folder
        place.mkdir(exist_ok=True)
        wanted = [p.id for p in group if code_bits or not (place / f"{p.id}.energy.hex").exists()]
        if wanted:
            run([folder / "make_vectors", place, code_bits, *wanted], folder / "run.log")
    return place


# ---- netlists ----

def synthesis_script(part):
    """Yosys names cells after source files and lines and orders by name: only names without a folder give the same netlist
    everywhere, so the script runs beside copies of what it reads."""
    sources = " ".join(m.name for m in modules_of(parts.top(part)) if m.stem != "clock_gate")
    return f"""read_liberty -lib cells.lib
read_verilog -sv {sources} osu018_clock_gate.v {part.id}.sv
hierarchy -check -top {part.id}
synth -flatten -top {part.id} -run begin:fine
maccmap
techmap -map osu018_arithmetic.v
synth -top {part.id} -run fine:check
dfflibmap -liberty cells.lib
opt
abc -liberty cells.lib -script osu018.abc
opt_clean -purge
splitnets
rename -hide w:* w:*_i %d w:*_o %d
rename -enumerate -pattern net_%
opt_clean -purge
check -assert -mapped
write_verilog -noattr -noexpr netlist.v
write_json netlist.json
"""


def synthesise(part):
    folder = BUILD / "gates" / part.id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part.id}.sv").write_text(parts.top(part))
    (folder / "wrapper.sv").write_text(parts.wrapper(part))
    script = synthesis_script(part)
    read = modules_of(parts.top(part)) + sorted((RTL / "synth").iterdir())
    key = digest(*read, folder / f"{part.id}.sv", folder / "wrapper.sv", script, LIBERTY, version("yosys"))

    def work():
        for file in read:
            shutil.copy(file, folder)
        shutil.copy(LIBERTY, folder / "cells.lib")
        (folder / "synthesis.ys").write_text(script)
        run(["yosys", "-q", "synthesis.ys"], folder / "yosys.log", cwd=folder)
        return True

    once(folder / "netlist.done", key, work)
    return folder, key


BENCH = [RTL / "tests" / "bench.v", RTL / "modules" / "level_table.sv", RTL / "modules" / "sram_1r1w.sv"]


def simulate(part, folder, netlist, stream, vcd=None):
    """Cycles and how many of them were wrong; the netlist at its cells' delays."""
    program = folder / f"{netlist.stem}.vvp"
    # The cells come first: after SystemVerilog files Icarus 11 drops their delays, which the bench notices.
    run(["iverilog", "-g2012", "-gspecify", "-o", program, "-s", "bench", f"-DDUT=vector_{part.id}", "-DSRAM_CLOCK_TO_DATA=#1", CELLS, RTL / "tests" / "bench.v",
         folder / "wrapper.sv", RTL / "modules" / "clock_gate.sv", RTL / "modules" / "level_table.sv", RTL / "modules" / "sram_1r1w.sv",
         netlist], folder / "iverilog.log")
    with open(stream, encoding="ascii") as file:
        count = sum(1 for _ in file)
    log = folder / "bench.log"
    run(["vvp", "-n", program, f"+vectors={stream}", f"+count={count}", *([f"+vcd={vcd}"] if vcd else [])], log)
    if "delays are missing" in log.read_text():
        raise FlowError(f"Icarus simulates {part.id} without its cells' delays")
    last = log.read_text().strip().splitlines()[-1].split()
    if last[:1] != ["bench:"] or len(last) != 5:
        raise FlowError(f"no verdict from the gate-level bench, see {log}")
    return int(last[1]), int(last[3])


def gates_agree(part):
    """Gate-level simulation against the reference's streams, or for a PE against its RTL's trace."""
    folder, key = synthesise(part)
    if part.name == "pe":
        stream = next((BUILD / "cosim").glob(f"*/traces/{part.id}.correctness.hex"))
    else:
        stream = vectors([part]) / f"{part.id}.correctness.hex"
    cycles, wrong = once(folder / "agree.done", digest(key, stream, *BENCH, version("iverilog")),
                         lambda: simulate(part, folder, folder / "netlist.v", stream))
    say(f"  netlist  {part.id:34} {f'FAILED: {wrong} of {cycles} cycles differ' if wrong else f'{cycles} cycles'}")
    return wrong == 0


STA_SCRIPT = """
read_liberty {liberty}
read_verilog {netlist}
link_design {top}
proc slack {{period}} {{
  create_clock -name clk -period $period [get_ports clk_i]
  set_input_delay 0.3 -clock clk [all_inputs]
  set_output_delay 0 -clock clk [all_outputs]
  set_input_transition 0.1 [all_inputs]
  return [worst_slack -max]
}}
set low 0.0
set high 200.0
if {{[slack $high] < 0}} {{ puts "no period"; exit 1 }}
while {{$high - $low > 0.005}} {{
  set middle [expr ($low + $high) / 2]
  if {{[slack $middle] < 0}} {{ set low $middle }} else {{ set high $middle }}
}}
slack $high
puts "period $high"
puts "hold [worst_slack -min]"
report_checks -path_delay max
exit
"""


def timing(part):
    """[shortest period at which every path and clock gate is in time, slack of hold], ns. Inputs come 0.3 ns after the edge, as from
    flip-flops. The clock is ideal through its gates: before there is a clock tree, which would balance them, that is all one can say."""
    folder, key = synthesise(part)

    def work():
        script = folder / "timing.tcl"
        script.write_text(STA_SCRIPT.format(liberty=LIBERTY, netlist=folder / "netlist.v", top=part.id))
        run(["sta", "-no_splash", "-exit", script], folder / "sta.log")
        found = {line.split()[0]: line.split()[1] for line in (folder / "sta.log").read_text().splitlines()
                 if line.startswith(("period ", "hold "))}
        if "period" not in found:
            raise FlowError(f"no period from OpenSTA, see {folder / 'sta.log'}")
        return [float(found["period"]), float(found["hold"])]

    return once(folder / "timing.done", digest(key, STA_SCRIPT, version("sta")), work)


_library = None


def library():
    global _library
    if _library is None:
        _library = liberty.Library(LIBERTY)
    return _library


def figures(part, code_bits=0):
    """Everything measured of a part: area, leakage, period, energies by phase."""
    folder, key = synthesise(part)
    stream = vectors([part], code_bits) / f"{part.id}.energy.hex"
    tools = [RTL / "tools" / name for name in ("energy.py", "liberty.py")]

    def work():
        vcd = folder / "energy.vcd"
        cycles, wrong = simulate(part, folder, folder / "netlist.v", stream, vcd)
        if wrong:
            raise FlowError(f"{part.id}: {wrong} of {cycles} cycles of the energy stream differ from the reference")
        with open(vcd, encoding="ascii") as lines:
            found = energy.measure(library(), energy.Netlist(folder / "netlist.json", part.id), lines)
        vcd.unlink()
        return found

    found = once(folder / f"energy{code_bits or ''}.done", digest(key, stream, *BENCH, *tools, version("iverilog")), work)
    period, hold = timing(part)
    found = dict(found, id=part.id, period_ns=period, hold_slack_ns=hold)
    say(f"  energy   {part.id:34} {found['area_um2']:.0f} um2, {period:.2f} ns")
    return found


# ---- what is run ----

def in_parallel(function, items):
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(function, items))


def unit_tests():
    done = subprocess.run([sys.executable, RTL / "tests" / "tools_test.py"], capture_output=True, text=True, check=False)
    if done.returncode:
        say(done.stderr)
    say(f"  tools    {done.stderr.strip().splitlines()[-3] if done.stderr.strip() else 'no output'}")
    return done.returncode == 0


def test():
    failed = 0
    passed = 0

    def note(good, count=1):
        nonlocal passed, failed
        passed, failed = passed + (count if good else 0), failed + (0 if good else count)

    note(unit_tests())
    w, a = parts.COUNTER_BITS, parts.ACCUMULATOR_BITS
    simulated = [p for p in parts.simulated() if p.n in (0, 3) and (p.name != "pe" or p.storage == "registers")] + [
        parts.Part("lane", "counting-beta0", 4, w), parts.Part("lane", "counting", 4, w, storage="sram")]
    good, bad = cosim("short", simulated, os.cpu_count() or 1)
    passed, failed = passed + good, failed + bad
    good, bad = trained_layers("short", simulated, os.cpu_count() or 1)
    passed, failed = passed + good, failed + bad
    caught, missed = mutants.run(sys.modules[__name__])
    passed, failed = passed + caught, failed + missed
    gates = [parts.Part("lane", "int8", width=a), parts.Part("lane", "int8", width=parts.WIDE, sign_magnitude=True, product_register=True),
             parts.Part("lane", "counting-beta0", 3, w), parts.Part("lane", "shift", 3, w, 2),
             parts.Part("lane", "decode", 3, a), parts.Part("quantizer", "all", 3)]
    vectors(gates)
    for agree in in_parallel(gates_agree, gates):
        note(agree)
    print(f"rtl: {passed} passed, {failed} failed")
    return failed == 0


def groups(most):
    """Parts that share a Verilator build. Its code and time grow with the square of the clocks in it, and every row has one: parts
    with many rows are built alone."""
    found = {}
    for part in (p for p in parts.simulated() if p.n <= most):
        large = part.n > 5 or (part.n == 5 and part.histograms == 4)
        found.setdefault(part.id if large else f"{part.name}_n{part.n}", []).append(part)
    return found


def report(most):
    failed = 0
    if not unit_tests():
        failed += 1
    counts = in_parallel(lambda item: cosim(*item), groups(most).items())
    rtl_passed, rtl_failed = sum(c[0] for c in counts), sum(c[1] for c in counts)
    caught, missed = mutants.run(sys.modules[__name__])
    everything = [p for p in parts.measured() if p.n <= most]
    vectors(everything)
    # Memories inside a PE have no gates; three times 125,610 pairs take an hour at gate level.
    pes = [p for p in parts.pes() if p.n <= min(most, 5) and p.storage == "registers" and p.width < parts.WIDE]
    order = sorted(everything + pes, key=lambda p: -p.n)  # the long ones first
    agreed = in_parallel(gates_agree, order)
    found = in_parallel(figures, sorted(everything, key=lambda p: -p.n))
    failed += rtl_failed + missed + agreed.count(False)
    if not failed:
        results.write(RTL / "results", {f["id"]: f for f in found}, {program: version(program) for program in TOOLS},
                      f"{rtl_passed} parts' RTL, {len(agreed)} netlists, {caught} mutants caught")
        say(f"wrote {RTL / 'results'}")
    print(f"rtl: {rtl_passed + caught + agreed.count(True) + 1} passed, {failed} failed")
    return failed == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("test", "report", "part"))
    parser.add_argument("id", nargs="?")
    parser.add_argument("--most-exponent-bits", type=int, default=7, choices=range(3, 8), help="report: leave out larger parts")
    parser.add_argument("--code-bits", type=int, default=0, help="part: exponent bits of the codes, fewer than the lane is built for")
    options = parser.parse_args()
    missing = missing_tools()
    if missing:
        print(f"rtl: skipped, install {' '.join(missing)} (tools/setup.sh --rtl does)", file=sys.stderr)
        sys.exit(77)
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        if options.what == "part":
            part = next((p for p in parts.measured() if p.id == options.id), None)
            if part is None:
                raise FlowError(f"no part {options.id}; there are: " + " ".join(p.id for p in parts.measured()))
            if options.code_bits and (part.name != "lane" or not 2 <= options.code_bits <= part.n):
                raise FlowError(f"--code-bits is for lanes of codes, 2 to their own exponent bits: {part.id} has {part.n}")
            good = gates_agree(part)
            print(json.dumps(figures(part, options.code_bits), indent=1))
        else:
            good = test() if options.what == "test" else report(options.most_exponent_bits)
    except (FlowError, ValueError, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"rtl: {error}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
