"""The examples run, and their figures are what README says, as far as few samples can tell."""

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


@pytest.mark.skipif(not (DATA / "cifar10").exists(), reason="no CIFAR-10 beside the repository")
def test_classifier(tmp_path):
    text = run("classifier.py", DATA / "cifar10", "-o", tmp_path / "out")
    weights, activations = numbers(r"(\S+) bits a weight, (\S+) an activation", text)
    assert weights < 4 and activations < 4
    fp32, = numbers(r"FP32 +(\S+) %", text)
    for name in ("cpu", "exact"):
        value, = numbers(name + r" +(\S+) %", text)
        assert fp32 - value < 2.5  # 1 % on the images that led the search, and what 7,500 others add


@pytest.mark.skipif(not (DATA / "translation").exists(), reason="no translation network beside the repository")
def test_translation(tmp_path):
    text = run("translation.py", DATA / "translation", "--calibration", 64, "--sentences", 60, "-o", tmp_path / "out")
    fp32, = numbers(r"BLEU FP32 +(\S+)", text)
    for name in ("cpu", "exact"):
        value, = numbers(f"BLEU {name}" + r" +(\S+)", text)
        assert value > fp32 - 3  # few sentences: BLEU alone is uncertain by 3
    assert all((tmp_path / "out" / name / "recipe.dnateq.json").exists() for name in ("encoder", "decoder"))
