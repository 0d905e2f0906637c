"""dnateq.quantize on small networks: forms of models and samples, results, errors, interruption."""

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
import warnings

import dnateq
import numpy as np
import openvino as ov
import pytest


def scores(model, samples):
    return np.concatenate([model(sample)[0] for sample in samples])


def agreement(reference, samples):
    """A metric: share of samples whose largest score is that of `reference`."""
    wanted = scores(reference, samples).argmax(1)

    def metric(compiled: ov.CompiledModel) -> float:
        assert threading.current_thread() is threading.main_thread()
        return float((scores(compiled, samples).argmax(1) == wanted).mean())

    return metric


@pytest.fixture
def quiet():
    return {"progress": False, "threads": 1}


def test_own_metric_leads_the_search(network, samples, quiet):
    metric = agreement(ov.compile_model(network, "CPU"), samples)
    result = dnateq.quantize(network, samples, metric=metric, max_loss=0.2, emit="both", **quiet)
    assert result.metric["name"] == "metric" and result.metric["reference"] == 1.0
    assert result.metric["exact"] >= 0.8
    assert metric(ov.compile_model(result.model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})) == result.metric["quantized"]
    assert metric(ov.compile_model(result.exact_model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})) == result.metric["exact"]
    assert [row["layer"] for row in result.layers] == ["first", "second", "classifier"]
    assert all(2 <= row["weight_bits"] <= 8 for row in result.layers)
    assert len(result.recipe.steps) >= 1


def test_same_bytes_for_every_form_of_input(network, samples, quiet, tmp_path):
    ov.save_model(network, tmp_path / "net.xml", compress_to_fp16=False)
    arguments = {"target_bits": (4, 5), "emit": "exact", **quiet}
    wanted = dnateq.quantize(tmp_path / "net.xml", samples, **arguments)
    data = (wanted.directory / "model.bin").read_bytes()
    for model, given in ((network, samples), (network, (s for s in samples)), (str(tmp_path / "net.xml"), np.stack(samples)),
                         (network, [{"image": s, "label": 3} for s in samples]), (network, [(s,) for s in samples])):
        assert (dnateq.quantize(model, given, **arguments).directory / "model.bin").read_bytes() == data
    labelled = [(s, 1) for s in samples]
    other = dnateq.quantize(network, labelled, transform=lambda item: item[0], **{**arguments, "threads": 2})
    assert (other.directory / "model.bin").read_bytes() == data


def test_a_call_of_many_samples_is_that_many(network, samples, quiet):
    arguments = {"target_bits": (4, 5), "emit": "exact", **quiet}
    one_by_one = dnateq.quantize(network, samples, **arguments)
    at_once = [np.concatenate(samples)]
    for axis in (None, 0):
        result = dnateq.quantize(network, at_once, batch_axis=axis, **arguments)
        assert (result.directory / "model.bin").read_bytes() == (one_by_one.directory / "model.bin").read_bytes()
        assert result.recipe.data["split"] == one_by_one.recipe.data["split"]
        assert result.recipe.data["metric"]["samples"] == 3
        assert result.recipe.data["layers"] == one_by_one.recipe.data["layers"]
    with pytest.raises(ValueError, match="axis 1 of the model's inputs is fixed"):
        dnateq.quantize(network, at_once, batch_axis=1, **arguments)


def test_named_metric_with_labels(network, samples, quiet):
    others = [-sample for sample in samples]  # what calibration has seen would not judge
    labels = scores(ov.compile_model(network, "CPU"), others).argmax(1)
    batches = [np.concatenate(others[i:i + 8]) for i in range(0, 24, 8)]
    result = dnateq.quantize(network, samples, validation=batches, labels=labels, max_loss=0.3, **quiet)
    assert result.metric["name"] == "top1" and result.metric["reference"] == 1.0
    assert result.recipe.data["metric"]["samples"] == 12  # half of them led the search


def test_save_load_report_and_table(network, samples, quiet, tmp_path):
    result = dnateq.quantize(network, samples, target_bits=4, **quiet)
    folder = result.save(tmp_path / "kept")
    model = dnateq.load(folder)
    before = scores(ov.compile_model(result.model, "CPU"), samples)
    directory = result.directory
    recipe = result.recipe
    del result
    assert not directory.exists()  # it went with the result
    np.testing.assert_array_equal(scores(ov.compile_model(model, "CPU"), samples), before)
    assert dnateq.Recipe.load(folder) == recipe
    recipe.save(tmp_path / "again.json")
    assert dnateq.Recipe.load(tmp_path / "again.json") == recipe


def test_save_pretrained(network, samples, quiet, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors", "model.safetensors.index.json", "openvino_model.bin"):
        (source / name).write_text("theirs")
    result = dnateq.quantize(network, samples, target_bits=4, emit="both", **quiet)
    folder = result.save_pretrained(tmp_path / "kept", source)
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "openvino_model.bin", "openvino_model.xml",
                                                             "recipe.dnateq.json", "tokenizer.json"]
    np.testing.assert_array_equal(scores(ov.compile_model(dnateq.load(folder), "CPU"), samples),
                                  scores(ov.compile_model(result.model, "CPU"), samples))
    exact = result.save_pretrained(tmp_path / "exact", exact=True)
    assert (exact / "openvino_model.bin").read_bytes() == (result.directory / "exact/model.bin").read_bytes()
    assert result.save_pretrained(folder, folder) == folder  # in place
    with pytest.raises(FileNotFoundError, match="no folder"):
        result.save_pretrained(tmp_path / "other", tmp_path / "nothing")
    with pytest.raises(ValueError, match="no exact model"):
        dnateq.quantize(network, samples, target_bits=4, **quiet).save_pretrained(tmp_path / "other", exact=True)
    assert not (tmp_path / "other").exists()


def test_notebook(network, samples, quiet, tmp_path):
    result = dnateq.quantize(network, samples, target_bits=4, **quiet)
    page = result._repr_html_()
    assert "<svg" in page and "bits a value" in page and len(result.curve) > 2
    assert "<html" in result.report(tmp_path / "report.html").read_text().lower()
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    axes = result.plot_tensor("second")
    assert "second" in axes.get_title()
    with pytest.raises(ValueError, match="third"):
        result.plot_tensor("third")


def test_allocate_shares_out_other_bits(network, samples, quiet):
    first = dnateq.quantize(network, samples, target_bits=5, emit="exact", **quiet)
    second = dnateq.allocate(first, target_bits=(3, 4), progress=False)
    assert second.summary["weights"]["stored_bits"] < first.summary["weights"]["stored_bits"]
    direct = dnateq.quantize(network, samples, target_bits=(3, 4), emit="exact", **quiet)
    assert (direct.directory / "model.bin").read_bytes() == (second.directory / "model.bin").read_bytes()
    with pytest.raises(ValueError, match="either target_bits or max_drop"):
        dnateq.allocate(first, progress=False)


def test_allocate_takes_nothing_outside_from_the_folder(network, samples, quiet, tmp_path):
    result = dnateq.quantize(network, samples, target_bits=5, directory=tmp_path / "out", **quiet)
    note = tmp_path / "out/measurements/job.json"
    told = json.loads(note.read_text())
    note.write_text(json.dumps({**told, "metric": f"command:touch {tmp_path / 'ran'}; echo 1; :", "model": "/etc/passwd"}))
    second = dnateq.allocate(result, target_bits=4, progress=False)
    assert second.metric["name"] == "cosine" and not (tmp_path / "ran").exists()
    document = dnateq.simulate(result)  # its network is at hand
    assert document["workload"]["layers"]
    with pytest.raises(ValueError, match="give that as model"):
        dnateq.simulate(tmp_path / "out")
    ov.save_model(network, tmp_path / "net.xml", compress_to_fp16=False)
    assert dnateq.simulate(tmp_path / "out", model=tmp_path / "net.xml")["workload"]["layers"]


def test_one_width_alone_leaves_the_other_kind_to_the_strategy(network, samples, quiet):
    result = dnateq.quantize(network, samples, weight_bits=6, emit="exact", **quiet)
    assert {row["weight_bits"] for row in result.layers} == {6}
    assert len({row["activation_bits"] for row in result.layers}) > 1
    assert result.summary["activations"]["stored_bits"] <= 4.001
    result = dnateq.quantize(network, samples, activation_bits=7, emit="exact", **quiet)
    assert {row["activation_bits"] for row in result.layers} == {7}
    with pytest.raises(ValueError, match="weight_bits is not for strategy='paper'.*give target_bits"):
        dnateq.quantize(network, samples, weight_bits=4, strategy="paper", emit="exact", **quiet)


def test_time_and_reach_are_told_apart(network, samples, quiet):
    with pytest.raises(ValueError, match="time of budget was over.*raise budget"):
        dnateq.quantize(network, samples, max_loss=0.0, budget=0.001, emit="exact", **quiet)
    with pytest.raises(ValueError, match="cannot be met.*raise max_drop"):
        dnateq.quantize(network, samples, max_loss=0.0, emit="cpu", **quiet)


def test_the_exact_model_is_told_by_files_and_emissions(network, samples, quiet):
    def exact_match(_model):
        return 1.0

    result = dnateq.quantize(network, samples, metric=exact_match, target_bits=4, **quiet)
    assert "exact" in result.recipe.data["options"]
    with pytest.raises(ValueError, match="no exact model"):
        _ = result.exact_model
    alone = dnateq.quantize(network, samples, target_bits=4, emit="exact", **quiet)
    assert alone.exact_model.get_parameters() and alone._exact_folder() == alone.directory
    both = dnateq.quantize(network, samples, target_bits=4, emit="both", **quiet)
    assert both._exact_folder() == both.directory / "exact"
    counting = dnateq.quantize(network, samples, target_bits=4, emit="counting", family="shared-base", **quiet)
    with pytest.raises(ValueError, match="no exact model"):
        counting._exact_folder()


def test_analyze(network, samples):
    rows = dnateq.analyze(network, samples, progress=False)
    assert len(rows) == 6 and {row["kind"] for row in rows} == {"weights", "activations"}
    assert {row["best"] for row in rows if row["kind"] == "weights"} == {"exponential"}  # they were drawn so
    assert rows[1]["values"] == 24 * 3 * 8 * 8


def test_progress_calls(network, samples):
    seen = []
    dnateq.quantize(network, samples, target_bits=4, threads=1, progress=lambda *step: seen.append(step))
    assert any(stage == "solving layers" and done == total for stage, done, total in seen)


@pytest.mark.parametrize(("given", "kind", "sentence"), [
    ([], ValueError, "calibration is empty"),
    (3, TypeError, "calibration is a int"),
    ({"image": 1}, TypeError, "one mapping"),
    ([{"picture": 0}], ValueError, "has no array 'image' .it has: picture"),
    ([np.zeros((1, 4, 8, 8), np.float32)], ValueError, r"shape \[1,4,8,8\] for model input 'image'"),
    ([np.full((1, 3, 8, 8), np.nan, np.float32)], ValueError, "sample 0 of calibration: array 'image' holds NaN"),
    ([np.zeros((1, 3, 8, 8), np.complex64)], TypeError, "sample 0 gives complex64 for model input 'image'"),
    ([np.array(["a"])], TypeError, "model input 'image'"),
    ([(np.zeros((1, 3, 8, 8), np.float32), 1)], ValueError, "sample 0 holds 2 arrays.*transform="),
])
def test_bad_samples(network, quiet, given, kind, sentence):
    with pytest.raises(kind, match=sentence):
        dnateq.quantize(network, given, **quiet)


def test_thresholds_of_the_paper(network, samples, quiet):
    result = dnateq.quantize(network, samples, strategy="paper", emit="exact", thr_weights=0.12, thr_activations=0.07, thr_plans=2,
                             **quiet)
    assert result.summary["thresholds"] == {"weights": 0.12, "activations": 0.07}
    study = result.recipe.data["thresholds"]
    assert study["chosen_by"] == "given"
    assert sum(plan["loss"] is not None for plan in study["plans"]) == min(2, len(study["plans"]))
    assert len(study["cells"]) == len(study["weight_thresholds"]) * len(study["activation_thresholds"]) >= 64


def test_an_endless_loader_ends(network, samples, quiet):
    class Endless:
        """Like a torch DataLoader of an IterableDataset, which has __len__ and refuses it."""

        def __init__(self):
            self.taken = 0

        def __len__(self):
            raise TypeError("it has no length")

        def __iter__(self):
            for sample in itertools.cycle(samples):
                self.taken += 1
                yield sample

    arguments = {"target_bits": (4, 5), "emit": "exact", **quiet}
    first = dnateq.quantize(network, samples[:16], **arguments)
    wanted = (first.directory / "model.bin").read_bytes()
    endless = Endless()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = dnateq.quantize(network, endless, subset_size=16, **arguments)
    assert endless.taken == 16 and (result.directory / "model.bin").read_bytes() == wanted
    assert (dnateq.quantize(network, samples, subset_size=16, **arguments).directory / "model.bin").read_bytes() == wanted
    with pytest.warns(UserWarning, match="calibration has no length .* first 1024 items") as caught:
        rows = dnateq.analyze(network, itertools.cycle(samples), progress=False)
    (warning,) = [warning for warning in caught if warning.category is UserWarning]
    assert warning.filename == __file__
    activations = next(row for row in rows if row["layer"] == "first" and row["kind"] == "activations")
    assert activations["values"] == 1024 * samples[0].size


NNCF_SCOPE = types.SimpleNamespace(names=[], types=["Convolution"], patterns=[], subgraphs=[], validate=True)


@pytest.mark.parametrize(("ignored", "left_out"), [
    (["fir", "ond$"], {"first", "second"}),
    (dnateq.IgnoredScope(names=["first"]), {"first"}),
    (dnateq.IgnoredScope(types=["MatMul", "Relu"]), {"classifier"}),
    (dnateq.IgnoredScope(patterns=["f", "sec.*d"]), {"first", "second"}),
    (dnateq.IgnoredScope(names=["classifier"], types=["MatMul"], patterns=["irst"], validate=False), {"classifier"}),
    (NNCF_SCOPE, {"first", "second"}),
])
def test_layers_are_ignored_by_name_type_and_pattern(network, samples, quiet, tmp_path, ignored, left_out):
    result = dnateq.quantize(network, samples, weight_bits=4, ignored=ignored, emit="standard", directory=tmp_path / "four", **quiet)
    assert {layer["name"] for layer in result.recipe.unquantized} == left_out
    again = dnateq.allocate(result, target_bits=31, progress=False)  # layers in FP32 count 32
    assert {layer["name"] for layer in again.recipe.unquantized} == left_out
    if isinstance(ignored, dnateq.IgnoredScope):
        rows = dnateq.analyze(network, samples, ignored=ignored, progress=False)
        assert {row["layer"] for row in rows} == {"first", "second", "classifier"} - left_out


@pytest.mark.parametrize(("options", "kind", "sentence"), [
    ({"target_bits": 4, "max_drop": 0.1}, ValueError, "exclude each other"),
    ({"target_bits": 4, "max_loss": 0.1}, ValueError, "exclude each other"),
    ({"max_drop": 0.1, "max_loss": 0.1}, ValueError, "older name"),
    ({"drop_type": "relative"}, ValueError, "give max_drop too"),
    ({"max_drop": 0.1, "drop_type": "percent"}, ValueError, "drop_type is 'percent'"),
    ({"max_drop": 0.1, "drop_type": "relative", "metric": "kl"}, ValueError, "drop_type='relative' has no meaning"),
    ({"metric": "accuracy"}, ValueError, "metric is 'accuracy'"),
    ({"metric": 3}, TypeError, "metric is a int"),
    ({"metric": "cosine", "metric_range": (0, 1)}, ValueError, "metric_range belongs to a metric of your own"),
    ({"metric": len, "metric_range": (1, 0)}, ValueError, "metric_range is"),
    ({"metric": len, "metric_range": 1}, TypeError, "metric_range is no pair"),
    ({"target_bits": 4, "require_certificate": True}, ValueError, "require_certificate belongs to max_drop"),
    ({"metric": "top1"}, ValueError, "metric='top1' needs validation and labels"),
    ({"strategy": "best"}, ValueError, "strategy is 'best'"),
    ({"emit": "fast"}, ValueError, "emit takes standard"),
    ({"ignored": ["nothing"]}, ValueError, "ignored 'nothing' matches no layer"),
    ({"ignored": dnateq.IgnoredScope(names=["frist"])}, ValueError, "ignored.names 'frist' matches no layer .* did you mean first"),
    ({"ignored": dnateq.IgnoredScope(types=["Conv"])}, ValueError, "ignored.types 'Conv' is the type of no .* mean Convolution"),
    ({"ignored": dnateq.IgnoredScope(patterns=["econd"])}, ValueError, "matches no layer"),
    ({"ignored": dnateq.IgnoredScope(patterns=["("])}, ValueError, "is not a regular expression"),
    ({"ignored": dnateq.IgnoredScope(names="first")}, TypeError, "ignored.names is a str"),
    ({"ignored": dnateq.IgnoredScope(types=[3])}, TypeError, "an entry of ignored.types is a int"),
    ({"ignored": types.SimpleNamespace(names=[], types=[], patterns=[], subgraphs=[1], validate=True)}, ValueError, "has subgraphs"),
    ({"subset_size": 0}, ValueError, "subset_size is 0"),
    ({"subset_size": 1.5}, TypeError, "subset_size is a float"),
    ({"target_bits": 1}, ValueError, "target_bits must lie between 2 and 32"),
    ({"target_bits": (1, 2, 3)}, TypeError, "give a number or a pair"),
    ({"output": "boxes"}, ValueError, "no output 'boxes'"),
    ({"weight_bits": 9}, ValueError, "weight_bits is 9"),
    ({"resume": True}, ValueError, "nothing to resume"),
    ({"thr_weights": 0.1, "thr_activations": 0.1}, ValueError, "thr_weights belongs to strategy='paper'"),
    ({"strategy": "paper", "emit": "exact", "thr_weights": 0.1}, ValueError, "are a pair; give thr_activations too"),
    ({"strategy": "paper", "emit": "exact", "thr_weights": "10%", "thr_activations": 0.1}, TypeError, "thr_weights is a str"),
    ({"strategy": "paper", "emit": "exact", "thr_weights": 2, "thr_activations": 0.1}, ValueError, "thr_weights '2.0' is no"),
    ({"strategy": "paper", "emit": "exact", "thr_plans": 65}, ValueError, "thr_plans is 65"),
])
def test_bad_options(network, samples, quiet, options, kind, sentence):
    with pytest.raises(kind, match=sentence):
        dnateq.quantize(network, samples, **{**quiet, **options})


def test_bad_models(samples, quiet, tmp_path):
    with pytest.raises(FileNotFoundError, match="no model file"):
        dnateq.quantize(tmp_path / "none.onnx", samples, **quiet)
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ValueError, match="bad.onnx"):
        dnateq.quantize(tmp_path / "bad.onnx", samples, **quiet)
    with pytest.raises(TypeError, match="model is a list"):
        dnateq.quantize([1], samples, **quiet)


class OfTheUser(Exception):
    pass


def test_what_the_user_raises_comes_through(network, samples, quiet, tmp_path):
    def metric(_model):
        raise OfTheUser("mine")

    with pytest.raises(OfTheUser, match="mine") as caught:
        dnateq.quantize(network, samples, metric=metric, directory=tmp_path / "out", **quiet)
    assert any(entry.name == "metric" for entry in caught.traceback)

    def some():
        yield samples[0]
        raise OfTheUser("halfway")

    with pytest.raises(OfTheUser, match="halfway"):
        dnateq.quantize(network, some(), **quiet)
    for value, kind in ((math.nan, ValueError), ("good", TypeError), (None, TypeError)):
        with pytest.raises(kind, match="the metric <lambda> returned"):
            dnateq.quantize(network, samples, metric=lambda _model, value=value: value, **quiet)


def test_interrupt_leaves_the_best_so_far(network, samples, tmp_path):
    folder = tmp_path / "out"
    asked, sent = [], []

    def interrupt():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    def metric(_model):
        asked.append(1)
        if len(asked) == 3:  # FP32 and one candidate that is good enough; then Ctrl-C, while the library works
            threading.Timer(0.05, interrupt).start()
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        dnateq.quantize(network, samples, metric=metric, max_loss=0.5, directory=folder, progress=False)
    assert time.monotonic() - sent[0] < 1.2
    best = scores(ov.compile_model(dnateq.load(folder / "unfinished"), "CPU"), samples)
    assert np.isfinite(best).all() and len(dnateq.Recipe.load(folder / "unfinished").steps) >= 1
    resumed = dnateq.quantize(network, samples, metric=lambda _model: 1.0, max_loss=0.5, directory=folder, resume=True,
                              progress=False)
    assert resumed.metric["quantized"] == 1.0 and resumed.directory == folder and not (folder / "unfinished").exists()


def test_a_loss_that_hardly_falls_costs_few_candidates(network, samples, quiet):
    asked = []

    def just_missed(_model):
        asked.append(1)
        return 1.0 if len(asked) == 1 else 0.98995

    with pytest.raises(ValueError, match=r"at most 0.01 .just_missed. cannot be met: 0.01005 is the least"):
        dnateq.quantize(network, samples, metric=just_missed, max_loss=0.01, **quiet)
    assert len(asked) <= 20
    few = len(asked)
    asked.clear()
    with pytest.raises(ValueError, match="budget.*0.01005 is the least"):
        dnateq.quantize(network, samples, metric=just_missed, max_loss=0.01, budget=0.001, **quiet)
    assert len(asked) == 3 < few  # FP32, the first, the most bits


def test_python_ends_while_a_daemon_thread_quantizes(tmp_path):
    script = tmp_path / "daemon.py"
    script.write_text(textwrap.dedent("""
        import threading
        import numpy as np
        import openvino as ov
        from openvino import opset13 as ops
        import dnateq

        x = ops.parameter(ov.PartialShape([-1, 64]), ov.Type.f32, "x")
        x.output(0).set_names({"x"})
        weights = np.random.default_rng(0).laplace(size=(256, 64)).astype(np.float32)
        network = ov.Model([ops.result(ops.matmul(x, ops.constant(weights), False, True))], [x], "one")
        samples = [np.full((1, 64), i / 7, np.float32) for i in range(1, 25)]
        started = threading.Event()

        def progress(*_step):
            started.set()

        threading.Thread(target=dnateq.quantize, args=(network, samples), daemon=True,
                         kwargs={"target_bits": 4, "progress": progress}).start()
        started.wait(60)
    """))
    finished = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert finished.returncode == 0 and "terminate" not in finished.stderr, finished.stderr


def same_class(network, samples):
    """A metric: for every sample, whether its largest score is that of `network`."""
    reference = scores(ov.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}), samples).argmax(1)

    def metric(model):
        return scores(model, samples).argmax(1) == reference

    return metric


def test_a_drop_is_absolute_unless_it_is_said_to_be_relative(network, samples, quiet):
    scores_of = {"absolute": [], "relative": []}
    for drop_type, said in scores_of.items():
        def metric(_model, said=said):
            said.append(4.0 if not said else 3.0)
            return said[-1]

        options = {} if drop_type == "absolute" else {"drop_type": drop_type}
        limit = {"absolute": 1.0, "relative": 0.25}[drop_type]
        result = dnateq.quantize(network, samples, metric=metric, max_drop=limit, **options, **quiet)
        assert result.emissions[0]["loss"] == limit
        assert result.recipe.data["metric"]["drop_type"] == drop_type


def test_the_default_emission_has_what_is_asked_for(network, samples, quiet):
    weights_alone = dnateq.quantize(network, samples, target_bits=4, **quiet)
    assert [row["emission"] for row in weights_alone.emissions] == ["cpu"]
    both = dnateq.quantize(network, samples, target_bits=(4, 5), **quiet)
    assert {row["emission"] for row in both.emissions} == {"cpu", "exact"}
    paper = dnateq.quantize(network, samples, target_bits=5, strategy="paper", **quiet)
    assert [row["emission"] for row in paper.emissions] == ["exact"]


def test_a_score_a_sample_is_certified_or_says_what_is_missing(network, samples, quiet):
    random = np.random.default_rng(7)
    many = [random.standard_normal((1, 3, 8, 8)).astype(np.float32) for _ in range(120)]
    metric = same_class(network, many)
    result = dnateq.quantize(network, samples, metric=metric, metric_range=(0, 1), max_loss=0.6, require_certificate=True, **quiet)
    assert result.certified and result.verdict.startswith("certified")
    row, = result.emissions
    assert row["samples"] == 60 and row["bound_method"] == "betting" and row["loss"] < row["upper_bound"] <= 0.6

    few = same_class(network, many[:12])
    with pytest.raises(dnateq.NotCertified, match="not certified") as caught:
        dnateq.quantize(network, samples, metric=few, metric_range=(0, 1), max_loss=0.3, require_certificate=True, **quiet)
    missed = caught.value.result
    assert not missed.certified and missed.model is not None
    assert not dnateq.quantize(network, samples, metric=lambda _model: 1.0, max_loss=0.3, **quiet).certified


def test_a_score_that_is_not_its_samples_mean_is_never_certified(network, samples, quiet):
    random = np.random.default_rng(7)
    metric = same_class(network, [random.standard_normal((1, 3, 8, 8)).astype(np.float32) for _ in range(240)])
    result = dnateq.quantize(network, samples, metric=lambda model: (42.0, metric(model)), max_loss=0.9, **quiet)
    assert result.metric["reference"] == 42.0
    row, = result.emissions
    assert row["bound_method"] == "" and row["upper_bound"] is None and not result.certified


@pytest.mark.parametrize(("value", "kind", "sentence"), [
    ([], TypeError, "shape"), ([[1.0, 2.0], [3.0, 4.0]], TypeError, "one number a sample"), (["a", "b"], TypeError, "type"),
    ([1.0, float("nan")], ValueError, "score of sample 1"), ((1.0, [2.0, float("inf")]), ValueError, "score of sample 1"),
    ((float("nan"), [1.0, 2.0]), ValueError, "returned nan")])
def test_bad_scores_a_sample(network, samples, quiet, value, kind, sentence):
    with pytest.raises(kind, match=sentence):
        dnateq.quantize(network, samples, metric=lambda _model: value, target_bits=4, **quiet)


def test_scores_of_other_samples_are_refused(network, samples, quiet):
    counts = iter(range(20, 60))
    with pytest.raises(ValueError, match="20 samples of the FP32 network and 21 of a candidate"):
        dnateq.quantize(network, samples, metric=lambda _model: [1.0] * next(counts), max_loss=0.1, **quiet)


def test_a_metric_is_asked_first_and_must_have_a_scale(network, samples, quiet):
    seen = []

    def zero(_model):
        assert not seen  # nothing was measured yet
        return np.array([0.0])

    with pytest.raises(ValueError, match="the metric zero is 0 for the FP32 network.*target_bits"):
        dnateq.quantize(network, samples, metric=zero, max_loss=0.01, threads=1, progress=lambda *step: seen.append(step))


def test_the_network_itself_is_never_replaced(network, samples, quiet, tmp_path):
    ov.save_model(network, tmp_path / "model.xml", compress_to_fp16=False)
    before = (tmp_path / "model.bin").read_bytes()
    with pytest.raises(ValueError, match="is the network itself"):
        dnateq.quantize(tmp_path / "model.xml", samples, target_bits=4, directory=tmp_path, **quiet)
    result = dnateq.quantize(tmp_path / "model.xml", samples, target_bits=4, **quiet)
    with pytest.raises(FileExistsError, match="model.xml' is of no result of dnateq.*choose another directory"):
        result.save(tmp_path)
    assert (tmp_path / "model.bin").read_bytes() == before


def test_relative_paths_outlive_a_change_of_folder(network, samples, quiet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    ov.save_model(network, "net.xml", compress_to_fp16=False)

    def metric(_model):
        monkeypatch.chdir(tmp_path / "elsewhere")
        return 1.0

    result = dnateq.quantize("net.xml", samples, metric=metric, target_bits=4, directory="out", **quiet)
    assert result.directory == tmp_path / "out" and result.model is not None
    assert not list((tmp_path / "elsewhere").iterdir())
