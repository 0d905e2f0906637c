"""The demo's last three lines: what became of size and accuracy, and what to do next.

    demo_says.py RESULT MODEL.onnx
"""

import json
import sys
from pathlib import Path


def main():
    folder, model = map(Path, sys.argv[1:])
    recipe = json.loads((folder / "recipe.dnateq.json").read_text())
    metric = recipe["metric"]
    cpu = next(row for row in recipe["emissions"] if row["emission"] == "cpu")
    before, after = model.stat().st_size / 1e6, (cpu["bytes"] + cpu["graph_bytes"]) / 1e6
    bound = "" if cpu["upper_bound"] is None else f", and at most {cpu['upper_bound']:.3f} on unseen ones like them (at 95 %)"
    print(f"\nSize:     {before:.1f} MB became {after:.1f} MB, {before / after:.1f} times less.")
    print(f"Accuracy: the embeddings' mean cosine to FP32's is {cpu['score']:.3f}: {cpu['loss']:.3f} is lost on {metric['samples']} "
          f"sentences that the search never saw{bound}.")
    print(f"Next:     open {folder / 'report.html'}; your own network: build/release/bin/dnateq quantize MODEL.onnx --calibration "
          "INPUTS.npz --max-drop 1% -o OUT")


if __name__ == "__main__":
    main()
