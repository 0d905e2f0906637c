"""The parts of the processing element: their parameters, ports and names, and the SystemVerilog text that fixes them.

Three texts for a part: `top`, the part with literal parameters (what is synthesised); `wrapper`, the same behind one vector of
inputs and one of outputs, so that one test bench serves all parts, RTL and netlist; `everything`, all wrappers behind one
selector, for one Verilator build. The layouts of the vectors are the field lists below; rtl/tests/vectors.h has the same.
"""

from dataclasses import dataclass

IN_BITS, OUT_BITS = 128, 96

LANE_DESIGNS = ("int8", "counting", "counting-beta0", "shift", "decode")


@dataclass(frozen=True)
class Part:
    name: str            # lane, quantizer, post, pe
    design: str          # as in LANE_DESIGNS; a quantizer's is "all" or "int8"
    n: int = 0           # exponent bits, 0 for int8
    width: int = 0       # of a counter (shift: of its part below the shift) or accumulator
    q: int = 0           # shift: base 2^(1/q)
    storage: str = "registers"  # of the counters (lane, pe) or of the constants (post)
    magnitude: int = 24  # quantizer: bits; 31 means float32
    sign_magnitude: bool = False    # lane of int8: sign and magnitude, not two's complement
    product_register: bool = False  # lane and pe of int8 and decode: a register between product and sum

    @property
    def histograms(self):
        return 4 if self.design == "counting" else 1

    @property
    def rows(self):
        if self.design == "shift":
            return self.q
        if self.design in ("int8", "decode"):
            return 1
        return 4 << self.n if self.histograms == 4 else (2 << self.n) - 1

    @property
    def row_bits(self):
        return max(1, (self.rows - 1).bit_length())

    @property
    def term_bits(self):
        """Bits of a drained row."""
        return self.width + ((2 << self.n) - 2) // self.q if self.design == "shift" else self.width

    @property
    def sum_bits(self):
        """Of post-processing: a term times 16 bits, over all rows, with room for at least 64 drains."""
        return max(40, self.term_bits + 17 + (self.rows - 1).bit_length() + 6)

    @property
    def horizon(self):
        """Pairs that fit into a row in the worst case (accumulator_bank)."""
        width = self.width
        low = width - 4
        init = (1 << (width - 1)) + (1 << low) // 3
        if self.design == "shift":
            shift = self.term_bits - width
            init = (1 << (self.term_bits - 1)) + (1 << (self.term_bits - 4)) // 3
            return ((1 << self.term_bits) - 1 - init) >> shift
        room = (1 << width) - 1 - init
        return room // (1 << 14) if self.design in ("int8", "decode") else room

    @property
    def variant(self):
        """Of lanes that do the same: what tells them apart."""
        words = ["sign and magnitude"] if self.sign_magnitude else []
        return ", ".join(words + (["product register"] if self.product_register else []))

    @property
    def id(self):
        pieces = [self.name, self.design.replace("-", "_")] if self.design != "all" else [self.name]
        if self.n:
            pieces.append(f"n{self.n}")
        if self.name != "quantizer":
            pieces.append(f"w{self.width}")
        elif self.magnitude == 31:
            pieces.append("float")
        if self.q:
            pieces.append(f"q{self.q}")
        if self.storage == "sram":
            pieces.append("sram")
        if self.sign_magnitude:
            pieces.append("magnitude")
        if self.product_register:
            pieces.append("product")
        return "_".join(pieces)


def _memory_ports(prefix, address, data):
    return [("output", f"{prefix}_read_o", 1), ("output", f"{prefix}_read_address_o", address),
            ("input", f"{prefix}_read_data_i", data), ("output", f"{prefix}_write_o", 1),
            ("output", f"{prefix}_write_address_o", address), ("output", f"{prefix}_write_data_o", data)]


def _ports_and_module(part):
    """(module, parameters, ports, map from port to vector expression, helper instances of the wrapper)"""
    clock = [("input", "clk_i", 1), ("input", "rst_ni", 1)]
    n, memories = part.n, []
    if part.name == "lane":
        ports = clock + [("input", "valid_i", 1), ("input", "x_zero_i", 1), ("input", "w_zero_i", 1),
                         ("input", "drain_i", 1)]
        wires = {"valid_i": "in_i[0]", "drain_i": "in_i[1]", "x_zero_i": "in_i[2]", "w_zero_i": "in_i[3]"}
        if part.sign_magnitude:
            ports += [("input", "x_sign_i", 1), ("input", "x_level_i", 7), ("input", "w_sign_i", 1), ("input", "w_level_i", 7)]
            wires |= {"x_sign_i": "in_i[11]", "x_level_i": "in_i[10:4]", "w_sign_i": "in_i[19]", "w_level_i": "in_i[18:12]"}
            module = "sign_magnitude_mac_lane"
            parameters = {"ACCUMULATOR_BITS": part.width, "PRODUCT_REGISTER": int(part.product_register)}
        elif part.design == "int8":
            ports += [("input", "x_i", 8), ("input", "w_i", 8)]
            wires |= {"x_i": "in_i[11:4]", "w_i": "in_i[19:12]"}
            module, parameters = "int8_mac_lane", {"ACCUMULATOR_BITS": part.width, "PRODUCT_REGISTER": int(part.product_register)}
        else:
            ports += [("input", "x_sign_i", 1), ("input", "x_exponent_i", n), ("input", "w_sign_i", 1),
                      ("input", "w_exponent_i", n)]
            wires |= {"x_sign_i": "in_i[11]", "x_exponent_i": f"in_i[{3 + n}:4]", "w_sign_i": "in_i[19]",
                      "w_exponent_i": f"in_i[{11 + n}:12]"}
            if part.design == "decode":
                module = "decode_lane"
                parameters = {"N": n, "ACCUMULATOR_BITS": part.width, "PRODUCT_REGISTER": int(part.product_register)}
                for k, side in enumerate("xw"):
                    ports.append(("input", f"{side}_levels_i", 7 << n))
                    wires[f"{side}_levels_i"] = f"{side}_levels"
                    memories.append(
                        f"logic [{(7 << n) - 1}:0] {side}_levels;\n"
                        f"  level_table #(.WORDS({1 << n}), .ADDRESS_BITS({n}), .WIDTH(7)) u_{side}_levels (.clk_i(clk_i), "
                        f".load_i(in_i[32] & {'' if k else '~'}in_i[33]), .address_i(in_i[{33 + n}:34]), "
                        f".data_i(in_i[47:41]), .words_o({side}_levels));")
            else:
                ports.append(("input", "drain_row_i", part.row_bits))
                wires["drain_row_i"] = f"in_i[{19 + part.row_bits}:20]"
                if part.design == "shift":
                    module, parameters = "shift_lane", {"N": n, "COUNTER_BITS": part.width, "Q": part.q}
                else:
                    module = "counting_lane"
                    parameters = {"N": n, "COUNTER_BITS": part.width, "HISTOGRAMS": part.histograms}
                    if part.storage == "sram":
                        module = "counting_lane_sram"
                        for prefix, address in (("sums", n + 1), ("x", n), ("w", n)):
                            ports += _memory_ports(prefix, address, part.width)
                            memories.append(_memory(prefix, address, part.width))
                            for port in ("read_o", "read_address_o", "read_data_i", "write_o", "write_address_o", "write_data_o"):
                                wires[f"{prefix}_{port}"] = f"{prefix}_{port[:-2]}"
        ports.append(("output", "data_o", part.term_bits))
        wires["data_o"] = f"out_o[{part.term_bits - 1}:0]"
    elif part.name == "quantizer":
        wires = {"valid_i": "in_i[0]", "sign_i": "in_i[1]", "load_i": "in_i[33]", "valid_o": "out_o[9]", "zero_o": "out_o[8]"}
        bits = part.magnitude
        ports = clock + [("input", "valid_i", 1), ("input", "sign_i", 1), ("input", "magnitude_i", bits), ("input", "load_i", 1)]
        wires["magnitude_i"] = f"in_i[{1 + bits}:2]"
        if part.design == "int8":
            module, parameters = "int8_quantizer", {}
            ports += [("input", "load_address_i", 1), ("input", "load_data_i", 16), ("output", "valid_o", 1),
                      ("output", "zero_o", 1), ("output", "value_o", 8)]
            wires |= {"load_address_i": "in_i[34]", "load_data_i": "in_i[57:42]", "value_o": "out_o[7:0]"}
        else:
            module, parameters = "quantizer", {"N": n, "MAGNITUDE_BITS": bits, "FLOAT": int(bits == 31)}
            ports += [("input", "load_address_i", n + 1), ("input", "load_data_i", bits), ("output", "valid_o", 1),
                      ("output", "zero_o", 1), ("output", "sign_o", 1), ("output", "exponent_o", n)]
            wires |= {"load_address_i": f"in_i[{34 + n}:34]", "load_data_i": f"in_i[{41 + bits}:42]", "sign_o": "out_o[7]",
                      "exponent_o": f"out_o[{n - 1}:0]"}
    elif part.name == "post":
        ports = clock + [("input", "term_valid_i", 1), ("input", "last_i", 1), ("input", "term_i", part.term_bits),
                         ("input", "scale_i", 16), ("input", "pre_shift_i", 5)]
        wires = {"term_valid_i": "in_i[0]", "last_i": "in_i[1]", "term_i": f"in_i[{12 + part.term_bits}:13]",
                 "scale_i": "in_i[122:107]", "pre_shift_i": "in_i[127:123]",
                 "valid_o": "out_o[25]", "sign_o": "out_o[24]", "magnitude_o": "out_o[23:0]"}
        parameters = {"TERM_BITS": part.term_bits, "SUM_BITS": part.sum_bits}
        if part.design in ("int8", "decode"):
            module = "post_accumulator"
        else:
            module = "post_terms"
            parameters |= {"ROWS": part.rows, "ROW_BITS": part.row_bits, "TABLE_IN_REGISTERS": int(part.storage != "sram")}
            ports += [("input", "row_i", part.row_bits), ("input", "load_i", 1), ("input", "load_address_i", part.row_bits),
                      ("input", "load_data_i", 16), ("output", "power_read_o", 1), ("output", "power_address_o", part.row_bits),
                      ("input", "power_i", 16)]
            wires |= {"row_i": f"in_i[{1 + part.row_bits}:2]", "load_i": "in_i[80]",
                      "load_address_i": f"in_i[{80 + part.row_bits}:81]", "load_data_i": "{in_i[106:91]}",
                      "power_read_o": "power_read", "power_address_o": "power_read_address", "power_i": "power_read_data"}
            memories.append(_memory("power", part.row_bits, 16, write=("in_i[80]", f"in_i[{80 + part.row_bits}:81]",
                                                                       "in_i[106:91]")))
        ports += [("output", "valid_o", 1), ("output", "sign_o", 1), ("output", "magnitude_o", 24)]
    else:
        module = "pe"
        number = {"int8": 0, "counting": 1, "counting-beta0": 1, "shift": 3, "decode": 4}[part.design]
        if part.storage == "sram":
            number = 2
        parameters = {"DESIGN": number, "N": max(n, 2), "WIDTH": part.width, "HISTOGRAMS": part.histograms,
                      "Q": max(part.q, 1), "HORIZON": part.horizon, "SUM_BITS": part.sum_bits,
                      "PRODUCT_REGISTER": int(part.product_register)}
        ports = clock + [("input", "valid_i", 1), ("output", "ready_o", 1), ("input", "last_i", 1), ("input", "x_sign_i", 1),
                         ("input", "x_magnitude_i", 24), ("input", "weight_i", 9), ("input", "scale_i", 16),
                         ("input", "pre_shift_i", 5), ("input", "load_i", 1), ("input", "load_target_i", 2),
                         ("input", "load_address_i", 11), ("input", "load_data_i", 24), ("output", "valid_o", 1),
                         ("output", "sign_o", 1), ("output", "magnitude_o", 24)]
        wires = {"valid_i": "in_i[0]", "last_i": "in_i[1]", "x_sign_i": "in_i[2]", "x_magnitude_i": "in_i[26:3]",
                 "weight_i": "in_i[35:27]", "load_i": "in_i[36]", "load_target_i": "in_i[38:37]",
                 "load_address_i": "in_i[49:39]", "load_data_i": "in_i[73:50]", "scale_i": "in_i[122:107]",
                 "pre_shift_i": "in_i[127:123]", "ready_o": "out_o[26]", "valid_o": "out_o[25]", "sign_o": "out_o[24]",
                 "magnitude_o": "out_o[23:0]"}
    wires |= {"clk_i": "clk_i", "rst_ni": "rst_ni"}
    return module, parameters, ports, wires, memories


def _memory(prefix, address, width, write=None):
    """A behavioural memory and its nets; `write` names its write port's nets where they are not the part's."""
    nets = [f"logic {prefix}_read;", f"logic [{address - 1}:0] {prefix}_read_address;", f"logic [{width - 1}:0] {prefix}_read_data;"]
    if not write:
        nets += [f"logic {prefix}_write;", f"logic [{address - 1}:0] {prefix}_write_address;",
                 f"logic [{width - 1}:0] {prefix}_write_data;"]
        write = (f"{prefix}_write", f"{prefix}_write_address", f"{prefix}_write_data")
    return " ".join(nets) + (
        f"\n  sram_1r1w #(.ADDRESS_BITS({address}), .WIDTH({width})) u_{prefix} (.clk_i(clk_i), .read_i({prefix}_read), "
        f".read_address_i({prefix}_read_address), .read_data_o({prefix}_read_data), .write_i({write[0]}), "
        f".write_address_i({write[1]}), .write_data_i({write[2]}));")


def _range(width):
    return f"[{width - 1}:0] " if width > 1 else ""


def top(part):
    module, parameters, ports, _, _ = _ports_and_module(part)
    declared = ",\n".join(f"    {direction:6} logic {_range(width)}{name}" for direction, name, width in ports)
    literal = ", ".join(f".{key}({value})" for key, value in parameters.items())
    connected = ", ".join(f".{name}({name})" for _, name, _ in ports)
    return (f"// {part.id}: {module} with literal parameters, written by rtl/generate.\nmodule {part.id} (\n{declared}\n);\n"
            f"  {module} {f'#({literal}) ' if literal else ''}u_part (\n      {connected}\n  );\nendmodule\n")


def wrapper(part):
    _, _, ports, wires, memories = _ports_and_module(part)
    connected = ", ".join(f".{name}({wires[name]})" for _, name, _ in ports)
    driven = sorted(_bits(wires[name]) for direction, name, _ in ports if direction == "output" and "out_o" in wires[name])
    rest, bit = [], 0
    for low, high in driven + [(OUT_BITS, OUT_BITS)]:
        if low > bit:
            rest.append(f"  assign out_o[{low - 1}:{bit}] = {low - bit}'d0;\n")
        bit = high + 1
    return (f"module vector_{part.id} (input logic clk_i, input logic rst_ni, input logic [{IN_BITS - 1}:0] in_i, "
            f"output logic [{OUT_BITS - 1}:0] out_o);\n" + "".join(f"  {m}\n" for m in memories)
            + f"  {part.id} u_dut ({connected});\n" + "".join(rest) + "endmodule\n")


def _bits(wire):
    inside = wire[wire.index("[") + 1:-1].split(":")
    return int(inside[-1]), int(inside[0])


def everything(parts):
    text = "".join(top(p) + wrapper(p) for p in parts)
    text += (f"module everything (input logic clk_i, input logic rst_ni, input logic [15:0] select_i, input logic [{IN_BITS - 1}:0] "
             f"in_i, output logic [{OUT_BITS - 1}:0] out_o);\n  logic [{OUT_BITS - 1}:0] outs [{len(parts)}];\n"
             "  assign out_o = outs[select_i];\n")
    for k, part in enumerate(parts):
        text += (f"  vector_{part.id} u_{k} (.clk_i(clk_i & (select_i == {k})), .rst_ni(rst_ni), "
                 f".in_i(in_i & {{{IN_BITS}{{select_i == {k}}}}}), .out_o(outs[{k}]));\n")
    return text + "endmodule\n"


def cpp_table(parts):
    """The same list for the C++ test bench."""
    rows = "".join(f'    {{"{p.id}", "{p.name}", "{p.design}", {p.n}, {p.width}, {p.q}, {str(p.storage == "sram").lower()}, '
                   f"{p.magnitude}, {str(p.sign_magnitude).lower()}, {str(p.product_register).lower()}}},\n" for p in parts)
    return f"// Written by rtl/generate.\ninline constexpr Part kParts[] = {{\n{rows}}};\n"


COUNTER_BITS, ACCUMULATOR_BITS = 10, 24
WIDE = 32  # accumulator of int8 and decode that is practically never flushed: 131,000 pairs
SHIFT_POINTS = {3: (1, 2, 4), 4: (2, 4, 8), 5: (2, 4, 8), 6: (8, 16), 7: (16, 32)}  # exponent bits: q
REGISTER_ROWS = 64  # of post-processing's constants; more lie in a memory


def lanes():
    w, a = COUNTER_BITS, ACCUMULATOR_BITS
    found = [Part("lane", "int8", width=width, sign_magnitude=form, product_register=register)
             for width in (a, WIDE) for form in (False, True) for register in (False, True)]
    for n in range(3, 8):
        for design in ("counting", "counting-beta0"):
            found += [Part("lane", design, n, w), Part("lane", design, n, w, storage="sram")]
        found += [Part("lane", "shift", n, w, q) for q in SHIFT_POINTS[n]]
        found += [Part("lane", "decode", n, a), Part("lane", "decode", n, WIDE), Part("lane", "decode", n, WIDE, product_register=True)]
    return found


def posts():
    found = [Part("post", "int8", width=width, storage="none") for width in (ACCUMULATOR_BITS, WIDE)]
    for lane in lanes():
        if lane.design in ("counting", "counting-beta0", "shift") and lane.storage == "registers":
            post = Part("post", lane.design, lane.n, lane.width, lane.q)
            found.append(post if post.rows <= REGISTER_ROWS else
                         Part("post", lane.design, lane.n, lane.width, lane.q, storage="sram"))
    return found


def quantizers():
    return [Part("quantizer", "int8", storage="none")] + [Part("quantizer", "all", n) for n in range(2, 8)]


def float_quantizers():
    return [Part("quantizer", "all", n, magnitude=31) for n in range(2, 8)]


def pes():
    w, a = COUNTER_BITS, ACCUMULATOR_BITS
    found = [Part("pe", "int8", width=a), Part("pe", "int8", width=a, product_register=True), Part("pe", "int8", width=WIDE)]
    for n in range(3, 8):
        found += [Part("pe", "counting", n, w), Part("pe", "counting-beta0", n, w), Part("pe", "counting", n, w, storage="sram"),
                  Part("pe", "counting-beta0", n, w, storage="sram"), Part("pe", "shift", n, w, 1 << (n - 2)),
                  Part("pe", "decode", n, a), Part("pe", "decode", n, a, product_register=True)]
    return found


def measured():
    return lanes() + posts() + quantizers()


def simulated():
    return measured() + float_quantizers() + pes()
