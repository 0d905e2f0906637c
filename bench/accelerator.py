#!/usr/bin/env python3
"""What the simulated accelerators gain on real recipes, with each recipe's accuracy beside it: rows of README and docs.

A design is simulated with the recipe that was searched in the family that it computes: `shift` and `counting-beta0` with
pow2:2, `counting-beta0` with one base and beta 0, `counting` with shared-base and with the paper's strategy, `decode` with free. A row whose codes a design does not run
is an error here, not a row.

example:
    bench/accelerator.py resnet20 -o out/accelerator
    bench/accelerator.py resnet20 --bits 4/4,5/5 --json
"""

import argparse
import json
import math
import sys
from pathlib import Path

import accuracy  # beside this file

ROOT = Path(__file__).resolve().parents[1]
FIXED = ["--emit", "exact", "--weight-bits", "{weights}", "--activation-bits", "{activations}"]
# Options of `dnateq quantize`, and the designs that run its codes.
RECIPES = {
    "pow2": (["--family", "pow2:2", *FIXED], ["shift", "counting-beta0"]),
    "beta0": (["--family", "beta0", "--emit", "counting", *FIXED[2:]], ["counting-beta0"]),
    "shared-base": (["--family", "shared-base", *FIXED], ["counting"]),
    "paper": (["--strategy", "paper", "--emit", "exact", "--thr-weights", "10%", "--thr-activations", "10%", "--thr-plans", "0"], ["counting"]),
    "free": (["--family", "free", *FIXED], ["decode"]),
}


def rows(network, shared, work, bits=("4/4",), recipes=tuple(RECIPES)):
    """Yields a dict a recipe and design: what README's table shows, and the commands that repeat it.

    Keys: network, recipe, design, options, weight_bits, activation_bits (stored, as simulated: layers on INT8 lanes at 8), metric,
    fp32, exact, confidence (of exact - fp32) or None, samples, samples_from, certified (None: unknown), speed, energy, area
    (INT8's figure over the design's), commands.
    """
    work.mkdir(parents=True, exist_ok=True)
    arguments = accuracy.networks(shared, work)[network]()[0]
    for recipe in recipes:
        options, designs = RECIPES[recipe]
        for pair in bits if any("{weights}" in option for option in options) else ("",):
            weights, _, activations = pair.partition("/")
            chosen = [option.format(weights=weights, activations=activations) for option in options]
            folder = work / "-".join(filter(None, (network, recipe, pair.replace("/", "-"))))
            quantize = [accuracy.DNATEQ, "quantize", *arguments, *chosen, "--int8", "none", "--json", "-q", "-o", folder]
            accuracy.run(quantize)
            simulate = [accuracy.DNATEQ, "simulate", folder, "--model", arguments[0], "--json", "-q",
                        *(word for design in designs for word in ("--design", design))]
            document = json.loads(accuracy.run(simulate))
            metric = document["recipe"]["metric"]
            for design in document["designs"][1:]:
                if not design["codes"]["own"]:
                    sys.exit(f"accelerator: {design['design']} does not run the codes of {folder}: {design['codes']['reasons']}")
                yield {
                    "network": network, "recipe": recipe, "design": design["design"], "options": " ".join(chosen),
                    "weight_bits": document["workload"]["weight_bits"], "activation_bits": document["workload"]["activation_bits"],
                    "metric": metric["name"], "fp32": metric["reference"], "exact": metric["exact"],
                    "confidence": metric["confidence"], "samples": metric["samples"], "samples_from": metric["samples_from"],
                    "certified": metric.get("certified"),
                    **{figure: design["against_int8"][figure] for figure in ("speed", "energy", "area")},
                    "commands": [" ".join(map(str, command)) for command in (quantize, simulate)],
                }


def markdown(row):
    """The row of README's table."""
    factor = 100 if row["metric"] in ("top1", "top5", "agreement") else 1

    def score(value):
        return "–" if value is None or math.isnan(value) else f"{factor * value:.2f}"

    interval = "" if row["confidence"] is None else " … ".join(f"{factor * value:+.2f}" for value in row["confidence"]).replace("-", "−")
    return (f"| {row['network']}, `{row['options']}` | {row['weight_bits']:.2f} / {row['activation_bits']:.2f} | {score(row['fp32'])} | "
            f"{score(row['exact'])} | {interval} | {row['design']} | {row['speed']:.2f}× | {row['energy']:.2f}× | {row['area']:.2f}× |")


HEADER = """| network, `dnateq quantize` | bits w / a | FP32 | the recipe | difference, 95 % | design | speed | energy | area |
|---|---|---|---|---|---|---|---|---|"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", help="as in bench/accuracy.py")
    parser.add_argument("--bits", default="4/4", help="of all layers, W/A; several: 4/4,5/5")
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "out/accelerator")
    parser.add_argument("--json", action="store_true", help="a JSON object a line instead of Markdown")
    args = parser.parse_args()
    unknown = [name for name in args.recipes.split(",") if name not in RECIPES]
    if unknown:
        parser.error(f"there is no recipe '{unknown[0]}': there are {', '.join(RECIPES)}")
    if not args.json:
        print(HEADER)
    for network in args.networks:
        for row in rows(network, args.shared, args.output, args.bits.split(","), args.recipes.split(",")):
            print(json.dumps(row) if args.json else markdown(row), flush=True)


if __name__ == "__main__":
    main()
