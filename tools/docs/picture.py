#!/usr/bin/env python3
"""Two figures of a result as SVG, for pages without a browser's script: bits per layer, and bits against loss.

RESULT is a folder that `dnateq quantize` wrote. All that is drawn stands in its report.html. Written are NAME-light.svg and
NAME-dark.svg, the same picture for two backgrounds, which a page shows by <picture>. The same result gives the same bytes.

example:
    tools/docs/picture.py out -o docs/assets/resnet20
    tools/docs/picture.py out --figures          sizes and the score of NNCF's INT8, as JSON
"""

import argparse
import json
import math
import re
import sys
import xml.etree.ElementTree as xml
from dataclasses import dataclass
from pathlib import Path

SVG = "http://www.w3.org/2000/svg"
WIDTH, TOP, BOTTOM, NAMES, GAP = 900, 62, 34, 150, 84
FONT = "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# Those of the report's page (src/report/report.css).
COLOURS = {
    "light": {"text": "#1c1d1f", "quiet": "#5b5e63", "grid": "#d9d9d3", "bars": "#b9bfc6", "weights": "#0072b2", "activations": "#c85400",
              "third": "#00795a"},
    "dark": {"text": "#e6e6e3", "quiet": "#a3a7ad", "grid": "#373b41", "bars": "#4a525b", "weights": "#56b4e9", "activations": "#f0964a",
             "third": "#3fc79a"},
}


class Failed(Exception):
    """Why there is no picture, in a sentence."""


def report_of(result):
    """The document that a result's page draws."""
    page = Path(result) / "report.html"
    if not page.is_file():
        raise Failed(f"there is no {page}; dnateq report {result} writes it")
    found = re.search(r'<script id="report-data" type="application/json">(.*?)</script>', page.read_text(), re.DOTALL)
    if found is None:
        raise Failed(f"{page} holds no data of a report; dnateq report {result} writes it again")
    return json.loads(found[1])


def figures_of(report):
    """What the tables of README take from a report."""
    summary = report["summary"]
    metric = summary["metric"] or {}
    return {"bytes": summary["bytes"], "int8": metric.get("int8"), "samples": metric.get("samples")}


@dataclass
class Scale:
    """Values to pixels; `log` of base ten."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def __call__(self, value):
        low, high, value = (math.log10(x) for x in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return round(self.begin + (value - low) / ((high - low) or 1) * (self.end - self.begin), 1)


def shorten(name, length):
    """The end of a long name, which tells layers apart; the operation that it ends in does not."""
    name = re.sub(r"/(WithoutBiases|MatMul|Gather)$", "", name)
    return name if len(name) <= length else "…" + name[1 - length:]


class Drawing:
    def __init__(self, height, colours, title, description):
        self.colours = colours
        self.root = xml.Element("svg", {"xmlns": SVG, "viewBox": f"0 0 {WIDTH} {height}", "width": str(WIDTH), "height": str(height),
                                        "role": "img", "font-family": FONT, "font-size": "12"})
        self.add("title").text = title
        self.add("desc").text = description

    def add(self, tag, parent=None, **attributes):
        named = {key.replace("_", "-"): str(value) for key, value in attributes.items()}
        return xml.SubElement(self.root if parent is None else parent, tag, named)

    def text(self, x, y, content, colour="quiet", **attributes):
        self.add("text", x=x, y=y, fill=self.colours[colour], **attributes).text = content

    def line(self, x1, y1, x2, y2, colour, **attributes):
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=self.colours[colour], **attributes)

    def circle(self, x, y, colour):
        self.add("circle", cx=x, cy=y, r=4, fill=self.colours[colour])

    def diamond(self, x, y, colour):
        self.add("path", d=f"M{x} {y - 6}l6 6l-6 6l-6 -6Z", fill=self.colours[colour])

    def square(self, x, y, colour):
        self.add("rect", x=x - 4, y=y - 4, width=8, height=8, fill=self.colours[colour])

    def bytes(self):
        xml.indent(self.root, " ")
        return xml.tostring(self.root, encoding="utf-8") + b"\n"


def draw_layers(drawing, layers, row, right):
    """A row a layer: a circle for the bits of its weights, a diamond for those of its activations."""
    x, bottom = Scale(0, 8, NAMES, right), TOP + row * len(layers)
    drawing.text(0, 14, "Bits per layer", "text", font_size=15, font_weight=600)
    drawing.circle(4, 35, "weights")
    drawing.text(14, 39, "weights")
    drawing.diamond(76, 35, "activations")
    drawing.text(86, 39, "activations that enter it")
    for bits in (0, 2, 4, 6, 8):
        drawing.line(x(bits), TOP - 6, x(bits), bottom, "grid")
        drawing.text(x(bits), bottom + 18, str(bits), text_anchor="middle")
    for index, layer in enumerate(layers):
        y = round(TOP + (index + 0.5) * row, 1)
        weights, activations = layer["weights"]["bits"], (layer["activations"] or {}).get("bits")
        if row >= 11:
            drawing.text(0, y + 4, shorten(layer["name"], 23), font_size=11)
        if activations is not None:
            drawing.line(x(weights), y, x(activations), y, "bars", stroke_width=2)
            drawing.diamond(x(activations), y, "activations")
        drawing.circle(x(weights), y, "weights")


def draw_curve(drawing, report, left, bottom):
    """Every way to share out bits, by the loss that it is predicted to have."""
    curve = sorted((bits, loss) for bits, loss in report["curve"] if bits is not None and loss is not None and loss > 0)
    if not curve:
        raise Failed("the report has no curve of bits against loss; quantize with --strategy optimal")
    losses = [loss for _, loss in curve]
    x = Scale(math.floor(curve[0][0]), math.ceil(curve[-1][0]), left, WIDTH - 14)
    y = Scale(min(losses) / 1.5, max(losses) * 1.5, bottom, TOP, log=True)
    drawing.text(left - 58, 14, "Bits against loss", "text", font_size=15, font_weight=600)
    drawing.text(left - 58, 39, "predicted divergence of the output from FP32's")
    for power in range(math.ceil(math.log10(y.low)), math.floor(math.log10(y.high)) + 1):
        at = y(10.0 ** power)
        drawing.line(left, at, WIDTH - 14, at, "grid")
        drawing.text(left - 8, at + 4, f"{10.0 ** power:g}", text_anchor="end")
    for bits in range(int(x.low), int(x.high) + 1):
        drawing.text(x(bits), bottom + 18, str(bits), text_anchor="middle")
    drawing.text(WIDTH - 14, bottom + 32, "mean bits", text_anchor="end")
    path = "".join(f"{'L' if i else 'M'}{x(bits)} {y(loss)}" for i, (bits, loss) in enumerate(curve))
    drawing.add("path", d=path, fill="none", stroke=drawing.colours["weights"], stroke_width=2)
    summary = report["summary"]
    means = [part["stored_bits"] for part in (summary["weights"], summary["activations"]) if part]
    chosen = sum(means) / len(means) if means else math.nan
    if x.low <= chosen <= x.high:
        drawing.line(x(chosen), TOP, x(chosen), bottom, "quiet", stroke_dasharray="2 3")
        late = chosen > (x.low + x.high) / 2
        drawing.text(x(chosen) + (-6 if late else 6), TOP + 10, "this result", "text", text_anchor="end" if late else "start")


def picture(report, background):
    """The SVG's bytes on a background, `light` or `dark`."""
    layers = report["layers"]
    if not layers:
        raise Failed("the report has no quantized layer, so there is nothing to draw")
    row = max(3.0, min(15.0, 900 / len(layers)))
    bottom = round(TOP + max(row * len(layers), 180))
    summary = report["summary"]
    means = " and ".join(f"{kind} {summary[kind]['stored_bits']:.2f} bits" for kind in ("weights", "activations") if summary[kind])
    drawing = Drawing(bottom + BOTTOM, COLOURS[background], f"{summary['model']}: {means}",
                      f"Left: the bits of the weights and activations of each of {len(layers)} layers. Right: the predicted loss of every "
                      "way to share out bits, against the mean bits a value.")
    half = WIDTH * 0.53
    draw_layers(drawing, layers, row, half)
    draw_curve(drawing, report, round(half + GAP), bottom)
    return drawing.bytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", metavar="RESULT")
    parser.add_argument("-o", "--output", metavar="NAME", help="NAME-light.svg and NAME-dark.svg are written")
    parser.add_argument("--figures", action="store_true", help="print what the tables need, as JSON")
    args = parser.parse_args()
    try:
        report = report_of(args.result)
        if args.figures:
            print(json.dumps(figures_of(report), indent=1))
        if args.output:
            drawn = {Path(f"{args.output}-{background}.svg"): picture(report, background) for background in COLOURS}
            for file, content in drawn.items():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
                print(f"picture: wrote {file}")
        if not args.figures and not args.output:
            parser.error("give -o NAME or --figures")
    except Failed as error:
        sys.exit(f"picture: {error}")


if __name__ == "__main__":
    main()
