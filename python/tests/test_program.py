"""`simulate` and `bench`: what they return, and what they say, in Python's words."""

import dnateq
import openvino as ov
import pytest


@pytest.fixture
def file(network, tmp_path):
    ov.save_model(network, tmp_path / "net.xml", compress_to_fp16=False)
    return tmp_path / "net.xml"


def test_simulate_returns_the_document_and_leaves_its_files_where_asked(file, tmp_path):
    document = dnateq.simulate("alexnet", designs=["shift"], bits="4/5", settings={"memory.vaults": 8})
    assert [design["design"] for design in document["designs"]] == ["int8", "shift"]
    assert document["config"]["values"]["memory.vaults"] == 8
    assert dnateq.simulate(file, bits="3/4", directory=tmp_path / "sim")["workload"]["layers"]
    assert sorted(path.name for path in (tmp_path / "sim").iterdir()) == ["layers.csv", "report.html", "result.json"]


@pytest.mark.parametrize(("network_of", "options", "kind", "sentence"), [
    ("vgg", {}, ValueError, "there is no file or folder 'vgg', and the built-in lists are alexnet"),
    ("alexnet", {"designs": ["analog"]}, ValueError, "analog"),
    ("alexnet", {"bits": 4}, TypeError, "bits is a int; give a string"),
    ("alexnet", {"bits": "x"}, ValueError, "bits 'x' is neither a number nor two"),
    ("alexnet", {"bits_are": "both"}, ValueError, "bits_are is 'both'; give stored or exponent"),
    ("alexnet", {"batch": 0}, ValueError, "batch is 0"),
    ("alexnet", {"settings": {"memory.vault": 8}}, ValueError, "memory.vaults"),
    ("alexnet", {"settings": {"memory.vaults": "8"}}, TypeError, "settings.*is a str"),
    ("alexnet", {"shapes": {"x": [1]}}, ValueError, "shapes, model and calibration belong to models and recipes"),
    (None, {}, ValueError, "is a model without a recipe; give bits, or the result folder"),
    (None, {"bits": "4", "shapes": {"picture": [1, 3, 8, 8]}}, ValueError, "there is no input 'picture' for shapes"),
    (None, {"bits": "4", "model": "other.xml"}, ValueError, "model belongs to a recipe"),
])
def test_simulate_refuses_in_pythons_words(file, network_of, options, kind, sentence):
    with pytest.raises(kind, match=sentence) as caught:
        dnateq.simulate(file if network_of is None else network_of, **options)
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)


def test_simulate_replaces_no_files_of_others(tmp_path):
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(ValueError, match="is of no simulation, and is not replaced; choose another directory"):
        dnateq.simulate("alexnet", directory=tmp_path)


def test_bench_times_the_network_and_its_results(file, network, samples, tmp_path):
    dnateq.quantize(network, samples, target_bits=4, progress=False, threads=1, directory=tmp_path / "out")
    document = dnateq.bench(file, [tmp_path / "out"], seconds=0)
    assert [row["kind"] for row in document["results"]] == ["given", "ours"]


@pytest.mark.parametrize(("options", "kind", "sentence"), [
    ({"results": ["absent"]}, ValueError, "there is no result folder 'absent'"),
    ({"calibration": "absent.npz"}, ValueError, "there is no calibration data 'absent.npz'"),
    ({"threads": 0}, ValueError, "threads is 0"),
    ({"batch": 1.5}, TypeError, "batch is a float"),
    ({"seconds": -1}, ValueError, "seconds is -1"),
    ({"shapes": {"image": []}}, ValueError, "shapes 'image=' is not of the form"),
])
def test_bench_refuses_in_pythons_words(file, options, kind, sentence):
    with pytest.raises(kind, match=sentence):
        dnateq.bench(file, **options)


def test_bench_is_not_given_a_folder(tmp_path):
    with pytest.raises(ValueError, match="is a folder; give the FP32 model's file, and result folders as results"):
        dnateq.bench(tmp_path)
    with pytest.raises(ValueError, match="there is no model file"):
        dnateq.bench(tmp_path / "absent.onnx")
