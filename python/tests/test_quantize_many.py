"""dnateq.quantize_many: two networks, one after the other, under one metric."""

import re

import dnateq
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops


F32 = {"INFERENCE_PRECISION_HINT": "f32"}


def dense(name: str, inputs: int, outputs: int, seed: int) -> ov.Model:
    random = np.random.default_rng(seed)
    x = ops.parameter(ov.PartialShape([-1, inputs]), ov.Type.f32, name)
    x.output(0).set_names({name})
    y = x.output(0)
    for layer, width in enumerate((64, outputs)):
        weights = (random.laplace(size=(width, y.partial_shape[1].get_length())) / 8).astype(np.float32)
        y = ops.matmul(y, ops.constant(weights), False, True)
        y.set_friendly_name(f"{name}{layer}")
        y = (ops.relu(y) if layer == 0 else y).output(0)
    return ov.Model([ops.result(y)], [x], name)


@pytest.fixture
def pair():
    return {"front": dense("picture", 48, 32, 1), "back": dense("features", 32, 10, 2)}


@pytest.fixture
def inputs():
    random = np.random.default_rng(3)
    return [random.standard_normal((1, 48)).astype(np.float32) for _ in range(64)]


@pytest.fixture
def calibration(pair, inputs):
    front = ov.compile_model(pair["front"], "CPU", F32)
    return {"front": inputs, "back": [front(x)[0] for x in inputs]}


def chain(models, inputs):
    return np.concatenate([models["back"](models["front"](x)[0])[0] for x in inputs])


@pytest.fixture
def likeness(pair, inputs):
    wanted = chain({name: ov.compile_model(model, "CPU", F32) for name, model in pair.items()}, inputs)

    def metric(models):
        got = chain(models, inputs)
        return float((got * wanted).sum() / np.sqrt((got * got).sum() * (wanted * wanted).sum()))

    return metric


def test_one_metric_leads_both(pair, calibration, inputs, likeness, tmp_path):
    results = dnateq.quantize_many(pair, calibration, metric=likeness, max_loss=0.02, emit="exact", threads=1, progress=False)
    assert list(results) == ["front", "back"] and results.metric["name"] == "metric"
    assert results.metric["reference"] == pytest.approx(1) and results.metric["exact"] >= 0.98
    folder = results.save(tmp_path / "kept")
    models = {name: ov.compile_model(dnateq.load(folder / name), "CPU", F32) for name in pair}
    assert likeness(models) == results.metric["exact"]
    for name, result in results.items():
        assert {row["layer"] for row in result.layers} == {f"{'picture' if name == 'front' else 'features'}{i}" for i in (0, 1)}
    assert "<h4>front</h4>" in results._repr_html_()


def test_bits_go_where_the_metric_feels_them(pair, calibration, likeness):
    """The same target for both; a metric that does not read the back network leaves it the fewest bits."""
    def front_alone(models):
        return likeness({"front": models["front"], "back": back})

    back = ov.compile_model(pair["back"], "CPU", F32)
    results = dnateq.quantize_many(pair, calibration, metric=front_alone, target_bits=4, emit="exact", threads=1, progress=False)
    assert results["front"].summary["weights"]["stored_bits"] > results["back"].summary["weights"]["stored_bits"] + 0.5


def test_same_bytes_whatever_the_threads(pair, calibration, likeness):
    def data(threads):
        results = dnateq.quantize_many(pair, calibration, metric=likeness, target_bits=(3.5, 4), emit="exact", threads=threads,
                                       progress=False)
        return [(result.directory / "model.bin").read_bytes() for result in results.values()]

    assert data(1) == data(2)


def test_bits_are_allocated_again_for_all(pair, calibration, likeness, tmp_path):
    results = dnateq.quantize_many(pair, calibration, metric=likeness, target_bits=(8, 6), emit="exact", threads=1, progress=False,
                                   ignored={"back": dnateq.IgnoredScope(names=["features1"])}, directory=tmp_path / "eight")
    smaller = dnateq.allocate(results, target_bits=(6, 5), directory=tmp_path / "six", progress=False)
    assert isinstance(smaller, dnateq.ManyResult) and list(smaller) == ["front", "back"]
    directly = dnateq.quantize_many(pair, calibration, metric=likeness, target_bits=(6, 5), emit="exact", threads=1, progress=False,
                                    ignored={"back": ["features1"]})
    for name, result in smaller.items():
        assert result.directory == tmp_path / "six" / name
        assert (result.directory / "model.bin").read_bytes() == (directly[name].directory / "model.bin").read_bytes()
        assert result.summary["weights"]["stored_bits"] < results[name].summary["weights"]["stored_bits"]
        assert (tmp_path / "eight" / name / "report.html").exists()
    within = dnateq.allocate(smaller, max_loss=0.05, progress=False)  # of a result that was allocated itself
    assert within.metric["exact"] >= 0.95
    with pytest.raises(ValueError, match="shared out together"):
        dnateq.allocate(results["front"], target_bits=4, progress=False)
    with pytest.raises(ValueError, match="cannot be reached"):
        dnateq.allocate(results, target_bits=2, progress=False)
    assert {path.name for path in tmp_path.iterdir()} == {"eight", "six"}


def test_int8_models_are_judged_together(pair, calibration, likeness, tmp_path):
    """Others' INT8 models: here one network rounded to very few levels, so that its score is not ours."""
    files = {}
    for name, model in pair.items():
        coarse = model.clone()
        for constant in coarse.get_ops():
            if constant.get_type_name() == "Constant" and constant.get_element_type() == ov.Type.f32:
                values = constant.data
                step = np.abs(values).max() / 2
                rounded = ops.constant((np.round(values / step) * step).astype(np.float32))
                constant.output(0).replace(rounded.output(0))
        files[name] = tmp_path / f"{name}.xml"
        ov.save_model(coarse, files[name], compress_to_fp16=False)
    wanted = likeness({name: ov.compile_model(file, "CPU", F32) for name, file in files.items()})
    assert wanted < 0.99
    results = dnateq.quantize_many(pair, calibration, metric=likeness, target_bits=6, emit="exact", int8=files, threads=1,
                                   progress=False)
    for name, result in results.items():
        score = re.search(r'"metric":{[^}]*"int8":([^,]*),', (result.directory / "report.html").read_text())
        assert float(score[1]) == pytest.approx(wanted)
        assert result.summary["bytes"]["int8"] == files[name].with_suffix(".bin").stat().st_size
        assert not result.summary["bytes"]["int8_is_estimate"]


@pytest.mark.parametrize(("change", "kind", "sentence"), [
    ({"models": {}}, TypeError, "no mapping"),
    ({"metric": "top1"}, TypeError, "metric must be a function"),
    ({"calibration": {"front": []}}, ValueError, "no samples of 'back'"),
    ({"calibration": {"front": [], "back": []}}, ValueError, r"calibration\['front'\] is empty"),
    ({"ignored": {"middle": ["x"]}}, ValueError, "ignored names 'middle'"),
    ({"ignored": {"back": dnateq.IgnoredScope(types=["Conv"])}}, ValueError, "ignored.types 'Conv'"),
    ({"int8": "int8.xml"}, TypeError, "int8 is a str; give a mapping"),
    ({"int8": {"front": "none.xml"}}, ValueError, "int8 has no model of 'back'"),
    ({"int8": {"front": "none.xml", "back": "none.xml"}}, FileNotFoundError, "'none.xml'; check int8\\['front'\\]"),
    ({"strategy": "paper", "emit": "exact"}, ValueError, "paper's search knows one network"),
    ({"resume": True}, ValueError, "nothing to resume"),
])
def test_bad_input(pair, calibration, likeness, change, kind, sentence):
    options = {"models": pair, "calibration": calibration, "metric": likeness, "progress": False, **change}
    with pytest.raises(kind, match=sentence):
        dnateq.quantize_many(options.pop("models"), options.pop("calibration"), **options)


def test_names_are_folders(pair, calibration, likeness):
    with pytest.raises(ValueError, match="'../back'"):
        dnateq.quantize_many({"../back": pair["back"]}, {"../back": calibration["back"]}, metric=likeness, progress=False)
