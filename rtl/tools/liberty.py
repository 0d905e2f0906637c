"""Reads what energy needs of a Liberty file: pin capacitances, internal energy and transition tables, areas, leakage.

Units: the file must use 1 ns, 1 V, 1 pF and 1 nW, which is checked. Internal energy is then in capacitance unit x voltage unit^2
= 1 pJ a transition (Liberty's rule); the load's C V^2 is not in it.
"""

import bisect
import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r'/\*.*?\*/|"[^"]*"|[A-Za-z0-9_.+\-*]+|[(){}:;,]', re.S)


class LibertyError(ValueError):
    pass


@dataclass
class Group:
    kind: str
    arguments: list
    values: dict = field(default_factory=dict)   # simple attribute: text; complex one: list of texts
    groups: list = field(default_factory=list)

    def of(self, kind):
        return [group for group in self.groups if group.kind == kind]


def parse(text):
    tokens = [t for t in _TOKEN.findall(text.replace("\\\n", " ")) if not t.startswith("/*")]
    root, position = Group("file", []), 0
    stack = [root]
    while position < len(tokens):
        token = tokens[position]
        if token == "}":
            stack.pop()
            position += 1
            if not stack:
                raise LibertyError("a '}' too many")
        elif token == ";":
            position += 1
        elif position + 1 < len(tokens) and tokens[position + 1] == ":":
            stack[-1].values[token] = tokens[position + 2].strip('"')
            position += 3
        elif position + 1 < len(tokens) and tokens[position + 1] == "(":
            end = tokens.index(")", position)
            arguments = [t.strip('"') for t in tokens[position + 2:end] if t != ","]
            position = end + 1
            if position < len(tokens) and tokens[position] == "{":
                group = Group(token, arguments)
                stack[-1].groups.append(group)
                stack.append(group)
                position += 1
            else:
                stack[-1].values[token] = arguments
        else:
            raise LibertyError(f"cannot read '{token}'")
    if len(stack) != 1:
        raise LibertyError("ends inside a group")
    return root


def _numbers(texts):
    return [float(x) for text in texts for x in text.replace(",", " ").split()]


class Table:
    """Values over load (pF) and input transition (ns), bilinear; at the edge outside."""

    def __init__(self, group, templates):
        template = templates.get(group.arguments[0]) if group.arguments else None
        self.values = _numbers(group.values["values"])
        self.axes = []
        for number in (1, 2):
            name = template.values.get(f"variable_{number}") if template else None
            index = group.values.get(f"index_{number}") or (template.values.get(f"index_{number}") if template else None)
            if index and name:
                self.axes.append(("load" if "capacitance" in name else "slew", _numbers(index)))
        length = 1
        for _, index in self.axes:
            length *= len(index)
        if length != len(self.values):
            raise LibertyError(f"a table of {len(self.values)} values over {length} points")

    def at(self, load, slew):
        weights = [(0, 1.0)]
        for name, index in self.axes:
            x = min(max(load if name == "load" else slew, index[0]), index[-1])
            k = min(max(bisect.bisect_right(index, x) - 1, 0), max(len(index) - 2, 0))
            share = (x - index[k]) / (index[k + 1] - index[k]) if len(index) > 1 else 0.0
            size = len(index)
            weights = [(at * size + k + step, weight * part) for at, weight in weights
                       for step, part in ((0, 1 - share), (1, share)) if part]
        return sum(self.values[at] * weight for at, weight in weights)


@dataclass
class Pin:
    direction: str
    capacitance: float
    clock: bool
    own: list        # (rise, fall): energy of this pin's transitions whatever the outputs do
    caused: list     # (related pin, rise, fall): energy of an output's transition
    transition: list  # (related pin, rise, fall): output transition times


@dataclass
class Cell:
    name: str
    area: float
    leakage: float   # nW
    pins: dict
    sequential: bool


class Library:
    def __init__(self, path):
        self.file = str(path)
        with open(path, encoding="utf-8", errors="replace") as file:
            libraries = parse(file.read()).of("library")
        if len(libraries) != 1:
            raise LibertyError(f"{path}: not one library")
        library = libraries[0]
        self.name = library.arguments[0]
        wanted = {"time_unit": "1ns", "voltage_unit": "1V", "leakage_power_unit": "1nW"}
        for key, value in wanted.items():
            if library.values.get(key) != value:
                raise LibertyError(f"{path}: {key} is {library.values.get(key)}, this tool knows only {value}")
        unit = library.values.get("capacitive_load_unit", [])
        if [x.lower() for x in unit] != ["1", "pf"]:
            raise LibertyError(f"{path}: capacitive_load_unit is {unit}, this tool knows only 1 pF")
        self.voltage = float(library.values["nom_voltage"])
        templates = {g.arguments[0]: g for g in library.groups if g.kind in ("lu_table_template", "power_lut_template")}
        self.cells = {g.arguments[0]: self._cell(g, templates) for g in library.of("cell")}

    @staticmethod
    def _pair(group, templates, rise, fall):
        tables = [Table(child, templates) for kind in (rise, fall) for child in group.of(kind)]
        if not tables and group.of("power"):
            tables = [Table(group.of("power")[0], templates)] * 2
        if len(tables) != 2:
            raise LibertyError(f"{group.kind} without both of {rise} and {fall}")
        return tables

    def _cell(self, group, templates):
        pins = {}
        for pin in group.of("pin"):
            own, caused, transition = [], [], []
            for power in pin.of("internal_power"):
                if "when" in power.values:
                    raise LibertyError(f"{group.arguments[0]}: internal_power with 'when' is not supported")
                rise, fall = self._pair(power, templates, "rise_power", "fall_power")
                related = power.values.get("related_pin")
                if related:
                    caused += [(name, rise, fall) for name in related.split()]
                else:
                    own.append((rise, fall))
            for timing in pin.of("timing"):
                if timing.of("rise_transition") and timing.of("fall_transition"):
                    rise, fall = self._pair(timing, templates, "rise_transition", "fall_transition")
                    transition += [(name, rise, fall) for name in timing.values["related_pin"].split()]
            pins[pin.arguments[0]] = Pin(pin.values["direction"], float(pin.values.get("capacitance", 0)),
                                         pin.values.get("clock") == "true", own, caused, transition)
        return Cell(group.arguments[0], float(group.values["area"]), float(group.values.get("cell_leakage_power", 0)), pins,
                    bool(group.of("ff") or group.of("latch")))
