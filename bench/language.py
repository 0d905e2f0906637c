#!/usr/bin/env python3
"""KL against size of a language model in few bits: dnateq's and NNCF's forms of one network, judged by `dnateq eval`.

Forms are made once into WORK and judged on the same windows of a text that none of them saw. Figures are kept in
bench/measured/language/forms.json, each with date, CPU and commit; --write puts them into docs/howto/language.md.

    bench/language.py build/language/smollm2 --texts build/language/texts --python build/peers-venv/bin/python --write

NNCF's forms need a Python with nncf (requirements-bench.txt) and the packages of requirements-language.txt.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from tables import cpu, sources_at  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "bench/measured/language/forms.json"
PAGE = ROOT / "docs/howto/language.md"
START, END = "<!-- language table -->", "<!-- end of language table -->"

# Name in the table, and options of dnateq quantize.
OURS = {f"dnateq, {bits} bits everywhere": ["--weight-bits", str(bits)] for bits in (4, 3)}
# At most 4.25, 3.25 and 2.5 bits on disk, with what is not quantized.
OURS |= {f"dnateq, {bits} bits on average": ["--target-bits", bits] for bits in ("4.19", "3.19", "2.44")}
# Name, and arguments of nncf.compress_weights beside the mode.
NNCF = {
    "NNCF INT4_SYM, groups of 64": {"mode": "INT4_SYM", "group_size": 64},
    "NNCF INT4_ASYM, groups of 64, AWQ + scale estimation": {"mode": "INT4_ASYM", "group_size": 64, "awq": True,
                                                            "scale_estimation": True},
    "NNCF INT4_ASYM, groups of 64, GPTQ + scale estimation": {"mode": "INT4_ASYM", "group_size": 64, "gptq": True,
                                                             "scale_estimation": True},
}
# Run by the Python that has nncf. The head stays in NNCF's own choice, 8 bits.
MAKE_NNCF = """
import json, sys
import numpy as np, openvino as ov, openvino_genai, nncf
source, text, out, arguments = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
model = ov.Core().read_model(source + "/openvino_model.xml")
mode = nncf.CompressWeightsMode[arguments.pop("mode")]
dataset = None
if len(arguments) > 1:
    # A paragraph a call: tokenizers may cut long texts.
    tokenizer = openvino_genai.Tokenizer(source)
    ids = np.concatenate([tokenizer.encode(line + "\\n").input_ids.data[0] for line in open(text, encoding="utf-8").read().split("\\n") if line])
    windows = [ids[w * 512:(w + 1) * 512][None] for w in np.linspace(0, len(ids) // 512 - 1, 32).astype(int)]
    dataset = nncf.Dataset([{"input_ids": w, "attention_mask": np.ones_like(w), "position_ids": np.arange(512)[None],
                             "beam_idx": np.zeros(1, np.int32)} for w in windows])
model = nncf.compress_weights(model, mode=mode, ratio=1.0, dataset=dataset, **arguments)
ov.save_model(model, out + "/openvino_model.xml", compress_to_fp16=True)
"""


def run(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command[:4]))} failed: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


def make(name, folder, args):
    started = time.monotonic()
    if name in OURS:
        run([args.program, "quantize", args.model, "--text", args.texts / "calibration.txt", *OURS[name],
             "-q", "-o", folder])
    else:
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for file in args.model.iterdir():
            if not file.name.startswith("openvino_model."):
                shutil.copy(file, part)
        run([args.python, "-c", MAKE_NNCF, args.model, args.texts / "calibration.txt", part, json.dumps(NNCF[name])])
        part.rename(folder)
    return time.monotonic() - started


def judge(folder, args, parameters):
    found = json.loads(run([args.program, "eval", folder, "--reference", args.model, "--text", args.texts / "evaluation.txt",
                            "--windows", args.windows, "--json", "-q"]))
    size = (folder / "openvino_model.bin").stat().st_size
    return {"bits": 8 * size / parameters, "bytes": size, **found}


def table(rows):
    lines = ["| form | bits a weight on disk | mean KL (95 %) | 99 % of tokens below | same likeliest token | perplexity |",
             "|---|---|---|---|---|---|"]
    for name, row in sorted(rows.items(), key=lambda item: item[1]["bits"]):
        kl, top = row["reference"]["kl"], row["reference"]["same_top"]
        lines.append(f"| {name} | {row['bits']:.2f} | {kl['value']:.3f} ({kl['interval'][0]:.3f} to {kl['interval'][1]:.3f}) | "
                     f"{row['reference']['kl_99']:.2f} | {100 * top['value']:.1f} % | {row['perplexity']['value']:.1f} |")
    first = next(iter(rows.values()))
    lines += ["", f"The source's perplexity is {first['reference']['perplexity']['value']:.1f}. Each row: {first['windows']} windows of "
              f"{first['context']} tokens, each read from its beginning, of a novel that no form saw.",
              "Measured " + "; ".join(sorted({f"{row['date']} on {row['cpu']}, sources of {row['sources']}" for row in rows.values()})) + "."]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=ROOT / "build/language/smollm2", metavar="FOLDER")
    parser.add_argument("--texts", type=Path, default=ROOT / "build/language/texts", metavar="FOLDER")
    parser.add_argument("--program", type=Path, default=ROOT / "build/release/bin/dnateq", metavar="FILE")
    parser.add_argument("--python", type=Path, default=ROOT / "build/peers-venv/bin/python", metavar="FILE")
    parser.add_argument("--work", type=Path, default=ROOT / "build/language/forms", metavar="FOLDER")
    parser.add_argument("--windows", type=int, default=16, metavar="N", help="to judge on (default: %(default)s)")
    parser.add_argument("--only", action="append", metavar="TEXT", help="forms whose name has this in it")
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    args = parser.parse_args()
    rows = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    args.work.mkdir(parents=True, exist_ok=True)
    KEPT.parent.mkdir(exist_ok=True)
    # Of the source: float16 all through, but for a few bytes.
    parameters = (args.model / "openvino_model.bin").stat().st_size / 2
    for name in [*OURS, *NNCF]:
        if args.only is not None and not any(text in name for text in args.only):
            continue
        folder = args.work / re.sub(r"[^a-z0-9]+", "-", name.lower())
        seconds = make(name, folder, args) if not folder.exists() else rows.get(name, {}).get("seconds")
        rows[name] = {**judge(folder, args, parameters), "seconds": seconds, "date": time.strftime("%Y-%m-%d"), "cpu": cpu(),
                      "sources": sources_at()}
        KEPT.write_text(json.dumps(rows, indent=1) + "\n")
        print(f"{name}: {rows[name]['bits']:.2f} bits, KL {rows[name]['reference']['kl']['value']:.3f}", flush=True)
    text = table({name: row for name, row in rows.items() if name in OURS or name in NNCF})
    print(text)
    if args.write:
        page = PAGE.read_text()
        before, rest = page.split(START)
        PAGE.write_text(f"{before}{START}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
