"""dnateq.quantize_many: two networks, one after the other, under one metric."""

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


@pytest.mark.parametrize(("change", "kind", "sentence"), [
    ({"models": {}}, TypeError, "no mapping"),
    ({"metric": "top1"}, TypeError, "metric must be a function"),
    ({"calibration": {"front": []}}, ValueError, "no samples of 'back'"),
    ({"calibration": {"front": [], "back": []}}, ValueError, r"calibration\['front'\] is empty"),
    ({"ignored": {"middle": ["x"]}}, ValueError, "ignored names 'middle'"),
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
