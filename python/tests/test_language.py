"""Folders of language models: `quantize_language_model` and `evaluate_language_model`, and what they say in Python's words."""

import importlib.util
import sys
from pathlib import Path

import dnateq
import numpy as np
import openvino as ov
import pytest

if not importlib.util.find_spec("openvino_tokenizers"):
    pytest.skip("the package openvino-tokenizers is not installed", allow_module_level=True)
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "integration"))
from language_networks import BEGIN, save_folder  # noqa: E402

SMALL = {"context": 64, "windows": 12, "threads": 1, "progress": False}


def prose(characters, seed):
    random = np.random.default_rng(seed)
    words = "the sea was calm and a boat came home with fish while nobody looked at its sails".split()
    return " ".join(words[random.integers(len(words))] for _ in range(characters // 4))[:characters]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return save_folder(tmp_path_factory.mktemp("language") / "source", half=True)


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text.txt").write_text(prose(4000, 1))
    return tmp_path / "text.txt"


def test_a_folder_goes_in_and_a_folder_comes_out(source, text, tmp_path):
    (tmp_path / "held_out.txt").write_text(prose(2000, 2))
    result = dnateq.quantize_language_model(source, text, target_bits=3.5, **SMALL)
    assert len({layer["weight_bits"] for layer in result.layers}) > 1
    assert result.summary["weights"]["stored_bits"] <= 3.5
    assert {file.name for file in source.iterdir()} <= {file.name for file in result.directory.iterdir()}
    judged = dnateq.evaluate_language_model(result, tmp_path / "held_out.txt", reference=source, **SMALL)
    assert judged["tokens"] == 12 * 63
    low, high = judged["reference"]["kl"]["interval"]
    assert 0 < low <= judged["reference"]["kl"]["value"] <= high

    saved = result.save(tmp_path / "saved")
    assert {file.name for file in source.iterdir()} <= {file.name for file in saved.iterdir()}
    assert dnateq.evaluate_language_model(saved, tmp_path / "held_out.txt", reference=source, **SMALL) == judged
    request = ov.compile_model(dnateq.load(saved), "CPU").create_infer_request()
    request.infer({"input_ids": np.array([[BEGIN, 116, 104]]), "attention_mask": np.ones((1, 3), np.int64),
                   "position_ids": np.arange(3)[None], "beam_idx": np.zeros(1, np.int32)})
    assert request.get_output_tensor(0).shape[:2] == (1, 3)


def test_the_other_wishes(source, text, tmp_path):
    by_size = dnateq.quantize_language_model(source, text, target_size=60_000, rotation=False, **SMALL)
    assert (by_size.directory / "openvino_model.bin").stat().st_size <= 60_000
    by_loss = dnateq.quantize_language_model(source, text, max_kld=0.05, directory=tmp_path / "out", **SMALL)
    assert by_loss.metric["name"] == "kl"
    assert by_loss.directory == tmp_path / "out"


@pytest.mark.parametrize(("options", "kind", "sentence"), [
    ({"target_bits": 3, "weight_bits": 4}, ValueError, "target_bits and weight_bits exclude each other"),
    ({"target_bits": "3"}, TypeError, "target_bits is a str"),
    ({"target_size": 0}, ValueError, "target_size is 0"),
    ({"context": 1}, ValueError, "context is 1"),
    ({"windows": 2.5}, TypeError, "windows is a float"),
    ({"text": 3}, TypeError, "text is a int; give a path"),
    ({"text": "absent.txt"}, ValueError, "absent.txt"),
    ({"folder": "absent"}, ValueError, "there is no folder 'absent'"),
    ({"target_size": 100}, ValueError, "target_size"),
    ({"context": 4096}, ValueError, "tokens.*context"),
])
def test_refusals_in_pythons_words(source, text, tmp_path, options, kind, sentence):
    arguments = {"folder": source, "text": text, **SMALL, "directory": tmp_path / "out", **options}
    with pytest.raises(kind, match=sentence) as caught:
        dnateq.quantize_language_model(**arguments)
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)
    assert not (tmp_path / "out" / "openvino_model.xml").exists()


def test_a_folder_that_is_none(text, tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ValueError, match=folder.name):
            dnateq.evaluate_language_model(folder, text, progress=False)
