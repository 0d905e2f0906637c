#!/usr/bin/env python3
"""A loss limit of 1 % and what is then lost on other data: `--max-drop` with 2,000 validation images, judged again by
`dnateq eval` on all images that the search never got.

example:
    bench/limit.py alexnet -o out/limit
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from accuracy import DNATEQ, ROOT, model_of, networks, run

LIMIT, SHOWN = "1%", 2000


def divided(validation, labels, folder):
    """The images of two .npy and .npz in two parts, drawn by a seed: what the search is given, and the others."""
    parts = [(folder / f"{part}.npz", folder / f"{part}_labels.npy") for part in ("shown", "others")]
    if not parts[1][1].exists():
        folder.mkdir(parents=True, exist_ok=True)
        with np.load(validation) as arrays:
            (name, images), = arrays.items()
        targets = np.load(labels)
        order = np.random.default_rng(0).permutation(len(images))
        for (samples, names), rows in zip(parts, (order[:SHOWN], order[SHOWN:]), strict=True):
            np.savez(samples, **{name: images[np.sort(rows)]})
            np.save(names, targets[np.sort(rows)])
    return parts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=["resnet20", "alexnet", "resnet50"])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "out/limit")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    arguments = networks(args.shared, args.output)[args.network]()[0]
    given = {flag: arguments[arguments.index(flag) + 1] for flag in ("--calibration", "--validation", "--labels")}
    (shown, shown_labels), (others, other_labels) = divided(given["--validation"], given["--labels"],
                                                            args.output / f"{given['--validation'].parent.name}-divided")
    result = args.output / args.network
    run([DNATEQ, "quantize", arguments[0], "--calibration", given["--calibration"], "--validation", shown, "--labels", shown_labels,
         "--max-drop", LIMIT, "--emit", "both", "--int8", "none", "-q", "-o", result])
    recipe = json.loads((result / "recipe.dnateq.json").read_text())
    found = {"network": args.network, "limit": LIMIT, "shown": SHOWN, "certified": recipe["metric"]["certified"], "emissions": []}
    for e in recipe["emissions"]:
        judged = json.loads(run([DNATEQ, "eval", model_of(result, e["emission"]), "--reference", arguments[0], "--data", others,
                                 "--labels", other_labels, "--metric", "top1", "--json", "-q"]))
        found["emissions"].append({"emission": e["emission"], "bits_on_disk": e["bits_on_disk"], "loss": e["loss"],
                                   "upper_bound": e["upper_bound"], "others": judged})
    json.dump(found, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
