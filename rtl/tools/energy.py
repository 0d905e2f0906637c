#!/usr/bin/env python3
"""Energy of a netlist from the transitions of a gate-level simulation and a Liberty file.

  energy.py --liberty FILE --netlist FILE.json --top NAME --vcd FILE [--phase bench.phase] [--clock clk_i]

Prints JSON: for each value of the phase signal the clock cycles spent in it and the picojoules, split:
  switching   1/2 C V^2 for each transition of a net, C = the input pins on it (no wires: there is no layout)
  internal    the driving cell's internal energy for the transition: rising or falling, at the net's load and the input's
              transition time, averaged over the output's related pins
  pins        internal energy of transitions at input pins that the Liberty file gives by themselves (flip-flops' clocks and data)
Transition times are propagated from the inputs (0.1 ns) through the cells' tables, the slower of both edges, the slowest input.
Transitions to or from x count nothing. Units: pJ, ns, pF, um2, nW.

The netlist is Yosys' JSON; the VCD has its nets by the same names in the scope of an instance `u_dut`.
"""

import argparse
import collections
import json
import sys

import liberty

INPUT_TRANSITION_NS = 0.1


class EnergyError(ValueError):
    pass


class Netlist:
    def __init__(self, path, top):
        with open(path, encoding="utf-8") as file:
            modules = json.load(file)["modules"]
        if top not in modules:
            raise EnergyError(f"{path}: no module {top}")
        module = modules[top]
        self.names = {name: net["bits"] for name, net in module["netnames"].items()}
        self.inputs = [bit for port in module["ports"].values() if port["direction"] == "input" for bit in port["bits"]]
        self.cells = [(cell["type"], {pin: bits[0] for pin, bits in cell["connections"].items()})
                      for cell in module["cells"].values()]


class Model:
    """What one transition of each net costs."""

    def __init__(self, library, netlist):
        self.library, self.netlist = library, netlist
        self.load = collections.defaultdict(float)
        self.drivers, self.sinks = {}, collections.defaultdict(list)
        for kind, pins in netlist.cells:
            if kind not in library.cells:
                raise EnergyError(f"cell {kind} is not in {library.file}")
            for pin, bit in pins.items():
                of = library.cells[kind].pins[pin]
                if of.direction == "input":
                    self.load[bit] += of.capacitance
                    self.sinks[bit].append((kind, pin))
                else:
                    self.drivers[bit] = (kind, pin, pins)
        self.slew = self._slews()

    def _slews(self):
        slew = {bit: INPUT_TRANSITION_NS for bit in self.netlist.inputs}
        waiting = dict(self.drivers)
        while waiting:
            ready = []
            for bit, (kind, pin, pins) in waiting.items():
                arcs = self.library.cells[kind].pins[pin].transition
                # A flip-flop's clock may be gated by gates not reached yet; constants have no transition.
                if all(pins[name] in slew or isinstance(pins[name], str) for name, _, _ in arcs):
                    ready.append(bit)
            if not ready:
                raise EnergyError(f"{len(waiting)} nets in combinational loops")
            for bit in ready:
                kind, pin, pins = waiting.pop(bit)
                arcs = self.library.cells[kind].pins[pin].transition
                slew[bit] = max((max(rise.at(self.load[bit], slew.get(pins[name], 0)), fall.at(self.load[bit], slew.get(pins[name], 0)))
                                 for name, rise, fall in arcs), default=INPUT_TRANSITION_NS)
        return slew

    def transition(self, bit):
        """((switching, internal, pins) of a rise, the same of a fall), pJ"""
        switching = 0.5 * self.load[bit] * self.library.voltage ** 2
        rise = fall = 0.0
        if bit in self.drivers:
            kind, pin, pins = self.drivers[bit]
            caused = self.library.cells[kind].pins[pin].caused
            for name, up, down in caused:
                at = self.slew.get(pins[name], INPUT_TRANSITION_NS)
                rise += up.at(self.load[bit], at) / len(caused)
                fall += down.at(self.load[bit], at) / len(caused)
        pins_rise = pins_fall = 0.0
        for kind, pin in self.sinks[bit]:
            for up, down in self.library.cells[kind].pins[pin].own:
                pins_rise += up.at(0, self.slew.get(bit, INPUT_TRANSITION_NS))
                pins_fall += down.at(0, self.slew.get(bit, INPUT_TRANSITION_NS))
        return (switching, rise, pins_rise), (switching, fall, pins_fall)

    def area(self):
        return sum(self.library.cells[kind].area for kind, _ in self.netlist.cells)

    def leakage(self):
        return sum(self.library.cells[kind].leakage for kind, _ in self.netlist.cells)


def transitions(lines, names, scope="u_dut", phase_name="phase"):
    """({phase: {net bit: [rises, falls]}} of a VCD's lines; names: {net name: [net bits, low first]})."""
    scopes, signals, phase_id = [], {}, None
    lines = iter(lines)
    for line in lines:
        words = line.split()
        if not words:
            continue
        if words[0] == "$scope":
            scopes.append(words[2])
        elif words[0] == "$upscope":
            scopes.pop()
        elif words[0] == "$var":
            identifier, name = words[3], words[4].lstrip("\\")
            if name == phase_name and scope not in scopes:
                phase_id = identifier
            elif scopes and scopes[-1] == scope and name in names and identifier not in signals:
                signals[identifier] = names[name]
        elif words[0] == "$enddefinitions":
            break
    if phase_id is None or not signals:
        raise EnergyError(f"the VCD has no signal {phase_name}, or none of {scope}'s nets")
    covered = {bit for bits in signals.values() for bit in bits}
    counts = collections.defaultdict(lambda: collections.defaultdict(lambda: [0, 0]))
    state, now = {}, counts[None]
    single = {identifier: bits[0] for identifier, bits in signals.items() if len(bits) == 1}
    for line in lines:
        first = line[0]
        if first in "01xz":
            identifier = line[1:].rstrip()
            bit = single.get(identifier)
            if bit is not None:
                before = state.get(bit)
                if first == "1":
                    if before == "0":
                        now[bit][0] += 1
                elif first == "0" and before == "1":
                    now[bit][1] += 1
                state[bit] = first
        elif first == "b":
            value, identifier = line[1:].split()
            if identifier == phase_id:
                now = counts[int(value, 2)] if value.strip("01") == "" else counts[None]
            elif identifier in signals:
                bits = signals[identifier]
                fill = "0" if value[0] in "01" else value[0]
                value = value.rjust(len(bits), fill)
                for bit, after in zip(bits, reversed(value)):
                    before = state.get(bit)
                    if before != after:
                        if before == "0" and after == "1":
                            now[bit][0] += 1
                        elif before == "1" and after == "0":
                            now[bit][1] += 1
                        state[bit] = after
    return counts, covered


def measure(library, netlist, vcd_lines, clock="clk_i"):
    model = Model(library, netlist)
    counts, covered = transitions(vcd_lines, netlist.names)
    missing = (set(model.drivers) | {b for b in netlist.inputs}) - covered
    if missing:
        raise EnergyError(f"{len(missing)} nets of the netlist are not in the VCD")
    clock_bit = netlist.names[clock][0]
    cost = {}
    phases = {}
    for phase, nets in sorted((p, n) for p, n in counts.items() if p is not None):
        parts = [0.0, 0.0, 0.0]
        for bit in sorted(nets, key=str):
            rises, falls = nets[bit]
            if bit not in cost:
                cost[bit] = model.transition(bit)
            up, down = cost[bit]
            for k in range(3):
                parts[k] += rises * up[k] + falls * down[k]
        phases[phase] = {"cycles": nets[clock_bit][0], "switching_pj": parts[0], "internal_pj": parts[1], "pins_pj": parts[2],
                         "total_pj": sum(parts)}
    return {"area_um2": model.area(), "leakage_nw": model.leakage(), "cells": len(netlist.cells), "phases": phases}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("liberty", "netlist", "top", "vcd"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--clock", default="clk_i")
    options = parser.parse_args()
    try:
        with open(options.vcd, encoding="ascii") as vcd:
            found = measure(liberty.Library(options.liberty), Netlist(options.netlist, options.top), vcd, options.clock)
    except (ValueError, OSError) as error:
        sys.exit(f"energy: {error}")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
