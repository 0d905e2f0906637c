#!/usr/bin/env python3
"""Speed of several forms of one language model, interleaved: time to the first token of a prompt, time of each token after it, and
memory. OpenVINO GenAI runs folders in this process; llama.cpp and ONNX Runtime run theirs in processes that wait for their turn.

Each round asks every form, in an order shuffled anew, for the first token of the prompt and for --tokens more; printed are
medians and the ratio to the first form's speed, with a 95 % bootstrap interval over rounds. CPU time stands beside the time on
the clock, since a loaded machine changes that less. Memory is the peak of a process that loads one form and answers once.
--peers makes NNCF's forms of the source (needs requirements-bench.txt and requirements-language.txt) and llama.cpp's of the same
network as GGUF file (needs tools/llama_cpp.sh), and says why others' are not there. `dnateq bench` is this program where a folder
of a language model is given.

examples:
    language_speed.py smollm2 --result smollm2-4b --threads 1
    language_speed.py smollm2 --result smollm2-4b --peers --gguf smollm2-f16.gguf --json
"""

import argparse
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import gguf_network
import numpy as np
import openvino as ov
import timed_answers
from speed import cap, cpu_name, interval, measure_and_show, plain, shortened
from timed_answers import Process, timed

try:
    import openvino_genai
except ImportError:
    sys.exit("dnateq: the package openvino-genai is not installed; install requirements-language.txt with pip")

MODEL = "openvino_model.xml"
RECIPE = 1  # one more whenever how a peer is made changes: what is kept is made anew
# Prose of our own, said again until the prompt is long enough.
PROSE = ("The harbour lay still in the first light, and the boats had not gone out. An old man sat on the wall with a net across "
         "his knees and looked for the places where it was torn. Behind him a door opened, a child came out with bread, and the "
         "gulls, which had slept on the roofs, turned their heads all at once. ")
# Name, and what nncf.compress_weights is given. Embedding and head stay in NNCF's own choice, 8 bits.
NNCF = {"ov-int8": ("OpenVINO INT8_ASYM weights, NNCF", {"mode": "int8_asym"}),
        "ov-int4-128": ("OpenVINO INT4_SYM weights, groups of 128, NNCF", {"mode": "int4_sym", "group_size": 128, "ratio": 1.0}),
        "ov-int4-64": ("OpenVINO INT4_SYM weights, groups of 64, NNCF", {"mode": "int4_sym", "group_size": 64, "ratio": 1.0})}
MAKE_NNCF = """
import json, sys
import nncf, openvino as ov
from nncf.quantization.advanced_parameters import AdvancedCompressionParameters, GroupSizeFallbackMode
source, out, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
mode = nncf.CompressWeightsMode(arguments.pop("mode"))
if "group_size" in arguments:  # a smaller group where it does not divide the inputs of a channel
    arguments["advanced_parameters"] = AdvancedCompressionParameters(group_size_fallback_mode=GroupSizeFallbackMode.ADJUST)
model = nncf.compress_weights(ov.Core().read_model(source), mode=mode, **arguments)
ov.save_model(model, out, compress_to_fp16=True)
"""
# What llama-quantize makes of a GGUF file; what its types are takes no importance matrix to time.
GGUF = ("Q4_0", "Q3_K_S")
# What its builder makes, which needs PyTorch and a checkpoint of Hugging Face's (bench/hf_checkpoint.py writes one).
ONNX_GENAI = "genai_config.json"


class GenaiForm:
    """A folder in OpenVINO GenAI, in this process."""

    def __init__(self, form, args):
        extensions = [args.extension] if form["kind"] == "ours" and args.extension else []
        config = {"INFERENCE_NUM_THREADS": args.threads, **({"ATTENTION_BACKEND": args.backend} if args.backend else {})}
        self.pipe = openvino_genai.LLMPipeline(str(form["path"]), "CPU", extensions=extensions, **config)

    def ask(self, ids, tokens):
        """(seconds, CPU seconds) of an answer."""
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens, config.do_sample, config.ignore_eos, config.apply_chat_template = tokens, False, True, False
        prompt = openvino_genai.TokenizedInputs(ov.Tensor(ids), ov.Tensor(np.ones_like(ids)))
        return timed(lambda: self.pipe.generate(prompt, config))

    def close(self):
        del self.pipe


class ForeignForm:
    """What another program runs, in a process of its own, which measures itself."""

    def __init__(self, form, args):
        script = "gguf_network.py" if is_gguf(form["path"]) else "onnx_genai_network.py"
        self.process = Process([sys.executable, Path(__file__).with_name(script), form["path"], "--threads", args.threads,
                                "--context", args.prompt + args.tokens + 1])

    def ask(self, ids, tokens):
        return self.process.ask(ids[0].tolist(), tokens)

    def close(self):
        self.process.close()


def is_gguf(path):
    return path.suffix == ".gguf"


def is_foreign(path):
    return is_gguf(path) or (path / ONNX_GENAI).is_file()


def runner_of(form, args):
    return (ForeignForm if is_foreign(form["path"]) else GenaiForm)(form, args)


def prompt_of(tokenizer, count):
    """[1, tokens] of a text of `count` tokens, and as many as come out where they are cut off."""
    return np.ascontiguousarray(tokenizer.encode(PROSE * (count // 32 + 2)).input_ids.data[:, :count])


def never_read(prompt):
    """Yields prompts of the same length that begin with other tokens: what reads one anew finds no part of it in a cache."""
    for number in itertools.count():
        fresh = prompt.copy()
        fresh[0, :2] = 1 + number % 200, 1 + number // 200 % 200
        yield fresh


def measure(runners, prompt, args, rng):
    """Arrays of forms x rounds, by what was timed, in milliseconds."""
    for runner in runners:
        runner.ask(prompt, 2)
    prompts = never_read(prompt)
    rows = {"first_ms": [], "first_cpu_ms": [], "token_ms": [], "token_cpu_ms": []}
    deadline = time.perf_counter() + args.seconds
    while len(rows["first_ms"]) < args.min_rounds or time.perf_counter() < deadline:
        row = {key: [0.0] * len(runners) for key in rows}
        for index in rng.permutation(len(runners)):
            first, first_cpu = runners[index].ask(next(prompts), 1)
            all_of_them, all_cpu = runners[index].ask(next(prompts), 1 + args.tokens)
            row["first_ms"][index], row["first_cpu_ms"][index] = first * 1e3, first_cpu * 1e3
            row["token_ms"][index] = (all_of_them - first) / args.tokens * 1e3
            row["token_cpu_ms"][index] = (all_cpu - first_cpu) / args.tokens * 1e3
        for key, values in row.items():
            rows[key].append(values)
    return {key: np.array(values).T for key, values in rows.items()}


def peak_megabytes(form, prompt, args):
    """Of a process that loads this form alone and answers once."""
    if is_foreign(form["path"]):
        runner = ForeignForm(form, args)
        runner.ask(prompt, 2)
        runner.close()
        return runner.process.peak_mb
    command = [sys.executable, __file__, str(form["path"]), "--memory-of", form["kind"], "--threads", str(args.threads),
               "--prompt", str(args.prompt), *(["--extension", args.extension] if args.extension else []),
               *(["--backend", args.backend] if args.backend else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(done.stdout) if done.returncode == 0 else None


def answer_once(args):
    """What peak_megabytes() starts."""
    runner = GenaiForm({"path": args.model, "kind": args.memory_of}, args)
    runner.ask(prompt_of(runner.pipe.get_tokenizer(), args.prompt), 2)
    print(timed_answers.peak_megabytes())


def made_once(target, stamp, build):
    """Has `build` fill the empty folder `target`, unless it holds what `stamp` names. Raises what `build` raises."""
    if (target / "made_of").is_file() and (target / "made_of").read_text() == stamp:
        return
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    try:
        build(target)
    except Exception:
        shutil.rmtree(target)
        raise
    (target / "made_of").write_text(stamp)


def make_nncf(source, arguments, target):
    for file in source.parent.iterdir():
        if file.is_file() and not file.name.startswith("openvino_model."):
            shutil.copy2(file, target)
    command = [sys.executable, "-c", MAKE_NNCF, str(source), str(target / MODEL), json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ValueError((done.stderr.strip().splitlines() or ["it stopped"])[-1])


def gguf_of(args):
    """The network as a GGUF file, which --gguf names, or the only one in its folder."""
    why = gguf_network.missing()
    if why is not None:
        raise ValueError(why)
    if args.gguf is not None:
        return args.gguf
    files = sorted(args.model.glob("*.gguf"))
    if len(files) != 1:
        raise ValueError("llama.cpp reads GGUF files, and this folder has none; give the same network in FP16 with --gguf"
                         if not files else "this folder has several GGUF files; name one with --gguf")
    return files[0]


def onnx_genai_of(args):
    if args.onnx_genai is None:
        raise ValueError("its builder needs PyTorch and a checkpoint of Hugging Face's; give the folder that it made with --onnx-genai")
    if not (args.onnx_genai / ONNX_GENAI).is_file():
        raise ValueError(f"'{args.onnx_genai}' holds no {ONNX_GENAI}")
    return args.onnx_genai


def stamp_of(what, file):
    return f"{RECIPE} {what} {file.stat().st_mtime_ns} {file.stat().st_size}"


def make_peers(args, say):
    made, missing = [], []
    cache = args.cache or Path(tempfile.gettempdir()) / f"dnateq-language-peers-{os.getuid()}"
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    if cache.stat().st_uid != os.getuid():
        raise ValueError(f"'{cache}' belongs to another user; give a folder of your own with --cache")
    of_source = hashlib.sha256(str(args.model.resolve()).encode()).hexdigest()[:12]
    say(f"making peers in {cache}")

    def add(name, peer, make):
        try:
            made.append({"name": name, "kind": "peer", "path": make(cache / f"{of_source}-{peer}")})
            say(f"  {name}")
        except Exception as error:
            missing.append({"name": name, "reason": plain(error)})
            say(f"  {name}: {missing[-1]['reason']}")

    def nncf_form(arguments):
        def make(folder):
            source = args.model / MODEL
            stamp = stamp_of(f"{version('nncf')} {source.stat().st_mtime_ns}", source.with_suffix(".bin"))
            made_once(folder, stamp, lambda target: make_nncf(source, arguments, target))
            return folder
        return make

    def gguf_form(kind):
        def make(folder):
            from gguf_forms import quantize  # which needs the package gguf

            source, file = gguf_of(args), folder / f"{kind}.gguf"
            made_once(folder, stamp_of(version("llama-cpp-python"), source), lambda _: quantize(source, None, kind, file))
            return file
        return make

    for peer, (name, arguments) in NNCF.items():
        add(name, peer, nncf_form(arguments))
    for kind in GGUF:
        add(f"llama.cpp {kind}", f"gguf-{kind.lower()}", gguf_form(kind))
    add("ONNX Runtime GenAI INT4", "", lambda _: onnx_genai_of(args))
    return made, missing


def weight_bytes(path):
    """Of all that is no tokenizer and no setting."""
    if is_gguf(path):
        from gguf_forms import tensors_of

        return tensors_of(path)["bytes"]
    return (path / "model.onnx.data" if is_foreign(path) else (path / MODEL).with_suffix(".bin")).stat().st_size


def check_folder(path):
    if not path.is_dir() or not (path / MODEL).is_file():
        raise ValueError(f"'{path}' is no folder of a language model: it has no {MODEL}")


def bench(args, say):
    rng = np.random.default_rng(args.seed)
    for path in [args.model, *args.result]:
        check_folder(path)
    forms = [{"name": str(args.model), "kind": "given", "path": args.model}]
    forms += [{"name": str(path), "kind": "ours", "path": path} for path in args.result]
    made, missing = make_peers(args, say) if args.peers else ([], [])
    runners, kept = [], []
    for form in forms + made:
        try:
            runners.append(runner_of(form, args))
            kept.append(form)
        except Exception as error:
            if form["kind"] != "peer":
                raise
            missing.append({"name": form["name"], "reason": plain(error)})
    prompt = prompt_of(runners[0].pipe.get_tokenizer(), args.prompt)
    say(f"measuring {len(runners)} forms")
    times = measure(runners, prompt, args, rng)
    for runner in runners:
        runner.close()
    peers = [i for i, form in enumerate(kept) if form["kind"] == "peer"]
    best = min(peers, key=lambda i: np.median(times["token_ms"][i])) if peers else None
    results = []
    for i, form in enumerate(kept):
        say(f"memory of {form['name']}")
        result = {"model": str(form["path"]), "name": form["name"], "kind": form["kind"],
                  "bytes": weight_bytes(form["path"]), "peak_mb": peak_megabytes(form, prompt, args),
                  **{key: float(np.median(values[i])) for key, values in times.items()}}
        result["tokens_a_second"] = 1e3 / result["token_ms"]
        for key, other in (("", 0), ("_over_best_peer", best)):
            if other is not None:
                for what in ("first_ms", "token_ms", "token_cpu_ms"):
                    values = times[what]
                    result[what.replace("_ms", "_speed") + key] = float(np.median(values[other]) / np.median(values[i]))
                result["token_confidence" + key] = [float(x) for x in interval(times["token_ms"][other], times["token_ms"][i], rng)]
        results.append(result)
    return {"cpu": cpu_name(), "cap": cap(), "threads": args.threads, "prompt_tokens": prompt.shape[1], "tokens": args.tokens,
            "rounds": times["first_ms"].shape[1], "best_peer": None if best is None else kept[best]["name"], "results": results,
            "missing": missing}


def print_table(document):
    results, threads = document["results"], document["threads"]
    print(document["cpu"] + (f", capped: ONEDNN_MAX_CPU_ISA={document['cap']}" if document["cap"] else ""))
    print(f"{document['rounds']} rounds, {threads} thread{'s' if threads != 1 else ''}, a prompt of {document['prompt_tokens']} tokens "
          f"and {document['tokens']} after it, each form in the program that it is for")
    names = [shortened(r["name"], 48) for r in results]
    width = max(map(len, [*names, "model"]))
    best = document["best_peer"]
    beside = f"  {'over best peer':>14}  {'95 %':13}" if best else ""
    print(f"{'model':<{width}}  size MB  peak MB  first token ms  token ms  CPU ms  tokens/s   speed  {'95 %':13}{beside}")
    for name, r in zip(names, results):
        low, high = r["token_confidence"]
        peak = "-" if r["peak_mb"] is None else f"{r['peak_mb']:.0f}"
        line = (f"{name:<{width}}  {r['bytes'] / 1e6:7.1f}  {peak:>7}  {r['first_ms']:14.1f}  {r['token_ms']:8.2f}  "
                f"{r['token_cpu_ms']:6.2f}  {r['tokens_a_second']:8.1f}  {r['token_speed']:6.3f}  {low:.3f} - {high:.3f}")
        if best:
            low, high = r["token_confidence_over_best_peer"]
            line += f"  {r['token_speed_over_best_peer']:14.3f}  {low:.3f} - {high:.3f}"
        print(line)
    if best:
        print(f"best peer: {best}")
    for peer in document["missing"]:
        print(f"not there: {peer['name']}: {peer['reason']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="FOLDER", help="the source, which is the measure")
    parser.add_argument("--result", type=Path, action="append", default=[], metavar="DIR", help="a result of dnateq quantize")
    parser.add_argument("--peers", action="store_true", help="NNCF's and llama.cpp's forms of the source beside")
    parser.add_argument("--gguf", type=Path, metavar="FILE", help="the source as GGUF file in FP16, for llama.cpp (default: the one in "
                        "FOLDER)")
    parser.add_argument("--onnx-genai", type=Path, metavar="DIR", help="what ONNX Runtime GenAI's builder made of the source "
                        "(bench/hf_checkpoint.py says how; needs requirements-onnx-genai.txt)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where peers are kept (default: a temporary folder)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="inference threads (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20, metavar="S", help="time to measure, all forms (default: %(default)s)")
    parser.add_argument("--min-rounds", type=int, default=5, metavar="N", help="rounds, even if they take longer")
    parser.add_argument("--prompt", type=int, default=128, metavar="N", help="tokens of the prompt (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=24, metavar="N", help="tokens after the first (default: %(default)s)")
    parser.add_argument("--backend", choices=["PA", "SDPA"], help="GenAI's way to keep attention's state (default: its own choice)")
    parser.add_argument("--extension", default=os.environ.get("DNATEQ_EXTENSION"), metavar="FILE", help="libdnateq_openvino.so")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    parser.add_argument("--memory-of", choices=["given", "ours", "peer"], help=argparse.SUPPRESS)
    parser.add_argument("--prog", default="language_speed", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_of:
        answer_once(args)
        return
    measure_and_show(args, bench, print_table)


if __name__ == "__main__":
    main()
