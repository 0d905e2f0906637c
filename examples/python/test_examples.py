"""The examples run, and their figures are what README says, as far as few samples can tell."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[2] / "shared" / "data"


def run(name, *arguments):
    finished = subprocess.run([sys.executable, HERE / name, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-2000:]
    print(finished.stdout)
    return finished.stdout


def numbers(pattern, text):
    found = re.search(pattern, text)
    assert found, text
    return [float(number) for number in found.groups()]


def test_embeddings(tmp_path):
    text = run("embeddings.py", "-o", tmp_path / "out")
    cpu, exact = numbers(r"cpu (\S+), exact (\S+)", text)
    assert cpu > 0.98 and exact > 0.98
    assert (tmp_path / "out" / "exact" / "model.xml").exists()


def test_quickstart(tmp_path):
    """Every cell runs, and gives outputs of the kinds that the notebook shows, if it was stored with any."""
    notebook = json.loads((HERE / "quickstart.ipynb").read_text())
    copy = tmp_path / "python" / "quickstart.ipynb"  # as it stands in the repository: beside it, the demo's data
    copy.parent.mkdir()
    copy.write_text(json.dumps(notebook))
    (tmp_path / "demo").symlink_to(HERE.parent / "demo")
    run("run_notebook.py", copy, "--write")
    made = json.loads(copy.read_text())
    assert [cell["source"] for cell in made["cells"]] == [cell["source"] for cell in notebook["cells"]]
    for new, kept in zip(made["cells"], notebook["cells"], strict=True):
        if kept.get("outputs"):
            assert [output["output_type"] for output in new.get("outputs", [])] == \
                [output["output_type"] for output in kept.get("outputs", [])], new["source"]
    printed = "".join("".join(output["text"]) for cell in made["cells"] for output in cell.get("outputs", []) if "text" in output)
    mean, least = numbers(r"mean (\S+), least (\S+)", printed)
    assert mean > 0.97 and least > 0.9
    quantized, layers, cosine = numbers(r"(\d+) of (\d+) layers are quantized; cosine (\S+)", printed)
    assert 0 < quantized < layers and cosine > mean
    assert "of report True" in printed


def test_a_notebook_that_fails_fails(tmp_path):
    notebook = {"cells": [{"cell_type": "code", "source": ["1 / 0"]}]}
    (tmp_path / "wrong.ipynb").write_text(json.dumps(notebook))
    finished = subprocess.run([sys.executable, HERE / "run_notebook.py", tmp_path / "wrong.ipynb", "--write"], capture_output=True,
                              text=True, check=False)
    assert finished.returncode != 0 and "ZeroDivisionError" in finished.stderr
    assert json.loads((tmp_path / "wrong.ipynb").read_text()) == notebook


@pytest.mark.skipif(not (DATA / "cifar10").exists(), reason="no CIFAR-10 beside the repository")
def test_classifier(tmp_path):
    text = run("classifier.py", DATA / "cifar10", "--calibration", 256, "--judge", 1000, "--test", 2000, "-o", tmp_path / "out")
    weights, activations = numbers(r"(\S+) bits a weight, (\S+) an activation", text)
    assert weights < 4 and activations < 4
    fp32, = numbers(r"FP32 +(\S+) %", text)
    for name in ("cpu", "exact"):
        value, = numbers(name + r" +(\S+) %", text)
        assert fp32 - value < 4.5  # 1 % on the few images that led the search, and what chance adds on 2,000 others


@pytest.mark.skipif(not (DATA / "translation").exists(), reason="no translation network beside the repository")
def test_translation(tmp_path):
    text = run("translation.py", DATA / "translation", "--calibration", 32, "--sentences", 40, "-o", tmp_path / "out")
    fp32, = numbers(r"BLEU FP32 +(\S+)", text)
    for name in ("cpu", "exact"):
        value, = numbers(f"BLEU {name}" + r" +(\S+)", text)
        assert value > fp32 - 4  # few sentences: BLEU alone is uncertain by as much
    assert all((tmp_path / "out" / name / "recipe.dnateq.json").exists() for name in ("encoder", "decoder"))
