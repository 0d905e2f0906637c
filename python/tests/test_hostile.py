"""What users do that nobody planned: odd arrays and arguments, nested and concurrent calls, forks, signals, full disks."""

import gc
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import dnateq
import numpy as np
import openvino as ov
import pytest

SETTINGS = {"progress": False, "threads": 1, "target_bits": 4}


class Started(Exception):
    """Samples and options were taken; the rest is not of interest."""


def start(network, given, **options):
    def stop(*_step):
        raise Started

    with pytest.raises(Started):
        dnateq.quantize(network, given, **{**SETTINGS, "progress": stop, **options})


class Tensor:
    """As torch's, of which only these are used."""

    def __init__(self, array):
        self.array, self.dtype = array, array.dtype

    def detach(self):
        return self

    cpu = detach

    def __array__(self, dtype=None, copy=None):
        return self.array


@pytest.mark.parametrize("form", [
    lambda x: x.astype(np.float64), lambda x: x.astype(np.float16), lambda x: x.astype(">f4"), np.asfortranarray,
    lambda x: x[..., ::-1], lambda x: np.frombuffer(x.tobytes(), np.float32).reshape(x.shape), lambda x: x.tolist(), Tensor,
    ov.Tensor, lambda x: (10 * x).astype(np.int8), lambda x: (x,), lambda x: {"image": x}, lambda x: np.concatenate([x, x])])
def test_arrays_of_every_form_are_taken(network, samples, form):
    start(network, [form(sample) for sample in samples])


def test_bfloat16_tensors():
    torch = pytest.importorskip("torch")
    from dnateq import _data
    assert _data._array(torch.ones(2, dtype=torch.bfloat16, requires_grad=True), "x", 0).dtype == np.float32


@pytest.mark.parametrize(("given", "kind", "sentence"), [
    ([np.float32(3)], ValueError, "shape"),
    ([[[1, 2], [3]]], ValueError, "sample 0 gives a list that is no array for model input 'image'"),
    ([np.zeros((1, 3, 8, 8), np.longdouble)], TypeError, "sample 0 gives float128 for model input 'image'; give float32"),
    ([np.zeros((1, 3, 8, 8), "M8[s]")], TypeError, "datetime64"),
    ([None], TypeError, "sample 0 gives object"),
    (["a.png"], TypeError, "sample 0 gives <U5"),
    ([np.zeros((0, 3, 8, 8), np.float32)], ValueError, "sample 0 of calibration holds no values"),
    ("data.npz", TypeError, "calibration is a str"),
    (Path("data.npz"), TypeError, "calibration is a PosixPath"),
])
def test_bad_samples(network, given, kind, sentence):
    with pytest.raises(kind, match=sentence):
        dnateq.quantize(network, given, **SETTINGS)


@pytest.mark.parametrize(("options", "kind", "sentence"), [
    ({"transform": 3}, TypeError, "transform is a int; give a function"),
    ({"seed": 2**64}, ValueError, "seed is 18446744073709551616; it must lie between"),
    ({"seed": -1}, ValueError, "seed is -1"),
    ({"seed": "1"}, TypeError, "seed is a str; give a whole number"),
    ({"threads": -3}, ValueError, "threads is -3"),
    ({"threads": 1.5}, TypeError, "threads is a float"),
    ({"target_bits": [4, "5"]}, TypeError, "target_bits is a str; give a number"),
    ({"target_bits": float("nan")}, ValueError, "target_bits is nan"),
    ({"target_bits": None, "max_loss": "1%"}, TypeError, "max_loss is a str"),
    ({"target_bits": None, "max_loss": -1}, ValueError, "max_loss"),
    ({"target_bits": None, "weight_bits": 4.5}, TypeError, "weight_bits is a float"),
    ({"budget": -1}, ValueError, "budget"),
    ({"ignored": "first"}, TypeError, "ignored is a str; give a list of regular expressions, or an IgnoredScope"),
    ({"ignored": [1]}, TypeError, "a pattern of ignored is a int"),
    ({"only": ["("]}, ValueError, r"only '\(' is not a regular expression"),
    ({"emit": None}, TypeError, "emit is a NoneType"),
    ({"family": 2}, TypeError, "family is a int"),
    ({"output": 1}, TypeError, "output is a int"),
    ({"expect_rows": 0}, ValueError, "expect_rows is 0"),
    ({"int8": "none.xml"}, FileNotFoundError, "none.xml"),
])
def test_bad_options(network, samples, options, kind, sentence):
    with pytest.raises(kind, match=sentence) as caught:
        dnateq.quantize(network, samples, **{**SETTINGS, **options})
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)


@pytest.mark.parametrize(("labels", "kind", "sentence"), [
    ([2**70] * 24, TypeError, "labels are object"),
    (np.full(24, 2**63, np.uint64), ValueError, "label 9223372036854775808 of sample 0"),
    ([-1] * 24, ValueError, "label -1 of sample 0"),
    ([1.0] * 24, TypeError, "labels are float64"),
    ([[1], [1, 2]], TypeError, "labels are no list"),
    (3, TypeError, "labels are no list"),
    ([1] * 23, ValueError, "23 labels for the 24 samples"),
])
def test_bad_labels(network, samples, labels, kind, sentence):
    with pytest.raises(kind, match=sentence):
        dnateq.quantize(network, samples, validation=[np.concatenate(samples)], labels=labels, **SETTINGS)


def test_labels_of_a_generator(network, samples):
    start(network, samples, validation=[np.concatenate(samples)], labels=(1 for _ in samples))


def test_an_iterable_that_fails(network):
    class Loader:
        def __iter__(self):
            raise RuntimeError("loader died")

    with pytest.raises(RuntimeError, match="loader died"):
        dnateq.quantize(network, Loader(), **SETTINGS)


def test_more_threads_than_there_are(network, samples):
    start(network, samples, threads=50000)  # took minutes


def test_quantize_within_a_metric_and_in_two_threads(network, samples):
    def metric(_model):
        dnateq.quantize(network, samples[:4], **SETTINGS)
        return 1.0

    results = []
    other = threading.Thread(target=lambda: results.append(dnateq.quantize(network, samples[:4], **SETTINGS)))
    other.start()
    outer = dnateq.quantize(network, samples[:4], metric=metric, max_loss=0.5, budget=0.1, progress=False, threads=1)
    other.join()
    alone = dnateq.quantize(network, samples[:4], **SETTINGS)
    assert outer.metric["reference"] == 1.0
    assert (results[0].directory / "model.bin").read_bytes() == (alone.directory / "model.bin").read_bytes()


def test_saving_over_another_result_and_itself(network, samples, tmp_path):
    both = dnateq.quantize(network, samples, **{**SETTINGS, "emit": "both"})
    folder = both.save(tmp_path / "ünï cödé")
    assert (folder / "exact/model.xml").exists()
    one = dnateq.quantize(network, samples, **{**SETTINGS, "emit": "cpu"})
    one.save(folder)
    assert not (folder / "exact").exists()  # it was of another result
    assert dnateq.Recipe.load(folder) == one.recipe
    names = sorted(os.listdir(both.directory))
    both.save(both.directory)
    both.save(os.path.relpath(both.directory))
    assert sorted(os.listdir(both.directory)) == names
    with pytest.raises(FileExistsError, match="is a file"):
        both.save(folder / "model.xml")
    with pytest.raises(FileNotFoundError, match="has no exact model"):
        dnateq.load(folder, exact=True)
    shutil.copytree(both.directory / "exact", tmp_path / "alone/exact")  # all that is there
    assert dnateq.load(tmp_path / "alone").get_parameters() and dnateq.load(tmp_path / "alone", exact=True).get_parameters()


def test_what_is_saved_over_stays_whole(network, samples, tmp_path):
    result = dnateq.quantize(network, samples, **SETTINGS)
    folder = result.save(tmp_path / "out")
    (folder / "notes.txt").write_text("mine")
    (folder / "measurements/mine.csv").write_text("mine")
    result.save(folder)
    assert (folder / "notes.txt").read_text() == (folder / "measurements/mine.csv").read_text() == "mine"
    names = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    (folder / "unfinished").mkdir()
    (folder / "unfinished/running").touch()
    with pytest.raises(ValueError, match="unfinished' is a run that was stopped.*resume=True.*choose another directory"):
        result.save(folder)
    shutil.rmtree(folder / "unfinished")
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == names
    for name in ("report.html", "exact/model.bin", "recipe.dnateq.json"):
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_text("mine")
        with pytest.raises(FileExistsError, match=name):
            result.save(tmp_path / "mine")
        assert os.listdir(tmp_path / "mine") == [name.split("/")[0]]
        shutil.rmtree(tmp_path / "mine")


def test_save_pretrained_replaces_only_its_own(network, samples, tmp_path):
    source = tmp_path / "bert"
    source.mkdir()
    ov.save_model(network, source / "openvino_model.xml", compress_to_fp16=False)
    (source / "config.json").write_text("{}")
    before = {file.name: file.read_bytes() for file in source.iterdir()}
    result = dnateq.quantize(source / "openvino_model.xml", samples, **SETTINGS)
    with pytest.raises(FileExistsError, match="openvino_model.*was not written by dnateq"):
        result.save_pretrained(source, source)
    assert {file.name: file.read_bytes() for file in source.iterdir()} == before
    target = result.save_pretrained(tmp_path / "quantized", source)
    for name in ("notes.txt", "config.json.part", "recipe.json.part"):
        (target / name).write_text("mine")
    (source / "config.json").write_text('{"a": 1}')
    result.save_pretrained(target, source)
    assert (target / "config.json").read_text() == '{"a": 1}'
    result.recipe.save(target / "recipe.json")
    assert (target / "config.json.part").read_text() == (target / "recipe.json.part").read_text() == "mine"
    assert sorted(os.listdir(target)) == ["config.json", "config.json.part", "notes.txt", "openvino_model.bin", "openvino_model.xml",
                                          "recipe.dnateq.json", "recipe.json", "recipe.json.part"]


def test_two_runs_in_one_folder(network, samples, tmp_path):
    refused = []

    def metric(_model):
        if not refused:
            with pytest.raises(ValueError, match="another run of dnateq works in .*choose another directory") as caught:
                dnateq.quantize(network, samples[:4], directory=tmp_path / "out", **SETTINGS)
            refused.append(caught.value)
        return 1.0

    dnateq.quantize(network, samples[:4], metric=metric, directory=tmp_path / "out", **SETTINGS)
    assert refused and (tmp_path / "out/model.xml").exists() and not (tmp_path / "out/unfinished").exists()


def test_a_run_that_fails_leaves_the_former_result(network, samples, tmp_path):
    folder = tmp_path / "out"

    def files():
        return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file() and folder / "unfinished" not in file.parents}

    dnateq.quantize(network, samples, directory=folder, **SETTINGS)
    before = files()
    calls = iter([1.0, 1.0])

    def metric(_model):
        return next(calls)  # and then it fails

    with pytest.raises(StopIteration):
        dnateq.quantize(network, samples, metric=metric, directory=folder, progress=False, threads=1, max_loss=0.5, emit="both")
    assert files() == before
    dnateq.quantize(network, samples, directory=folder, **{**SETTINGS, "emit": "both"})
    assert files() != before and not (folder / "unfinished").exists()


def test_a_model_outlives_its_result(network, samples):
    result = dnateq.quantize(network, samples, **{**SETTINGS, "emit": "both"})
    model, exact, directory = result.model, result.exact_model, result.directory
    compiled = ov.compile_model(model, "CPU")
    wanted = compiled(samples[0])[0].copy()
    del result
    gc.collect()
    assert not directory.exists()
    np.testing.assert_array_equal(compiled(samples[0])[0], wanted)
    np.testing.assert_array_equal(ov.compile_model(model, "CPU")(samples[0])[0], wanted)
    assert np.isfinite(ov.compile_model(exact, "CPU")(samples[0])[0]).all()


def test_a_result_whose_folder_is_gone(network, samples, tmp_path):
    result = dnateq.quantize(network, samples, directory=tmp_path / "out", **SETTINGS)
    shutil.rmtree(tmp_path / "out")
    for use in (lambda: result.save(tmp_path / "kept"), lambda: result.model, lambda: result.layers):
        with pytest.raises(FileNotFoundError, match="out"):
            use()
    for use in (lambda: result.report(tmp_path / "r.html"), result._repr_html_, lambda: result.plot_tensor("first"),
                lambda: dnateq.allocate(result, target_bits=3, progress=False)):
        with pytest.raises(ValueError, match="out") as caught:
            use()
        assert caught.type is ValueError
    with pytest.raises(TypeError, match="result is a str"):
        dnateq.allocate("out", target_bits=3)
    assert not (tmp_path / "kept").exists() and not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(("name", "data"), [("model.bin", None), ("model.xml", b"<net"), ("model.xml", b""),
                                            ("exact/model.bin", b"short")])
def test_damaged_models(network, samples, tmp_path, name, data):
    result = dnateq.quantize(network, samples, directory=tmp_path / "out", **{**SETTINGS, "emit": "both"})
    file = result.directory / name
    if data is None:
        file.unlink()
    else:
        file.write_bytes(data)
    with pytest.raises(ValueError, match="cannot be read") as caught:
        dnateq.load(result.directory, exact="exact" in name)
    assert "\n" not in str(caught.value)


def test_foreign_models(network, tmp_path):
    ov.save_model(network, tmp_path / "model.xml")
    assert dnateq.load(tmp_path).get_parameters()  # any model that OpenVINO reads
    (tmp_path / "text.xml").write_text("hello")
    with pytest.raises(ValueError, match="text.xml"):
        dnateq.load(tmp_path / "text.xml")
    with pytest.raises(FileNotFoundError, match="no model"):
        dnateq.load(tmp_path / "none")


def run(tmp_path, code, **options):
    """Python in a process of its own, with TMPDIR in a folder that must be empty afterwards."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    paths = [str(Path(dnateq.__file__).parents[1]), str(Path(__file__).parent)]
    lines = ["import os, signal, sys, threading, time, dnateq", "from conftest import small_network, some_samples",
             "network, samples = small_network(), some_samples()", "options = dict(progress=False, threads=1)", code]
    finished = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=120,
                              env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": ":".join(paths)}, **options)
    assert os.listdir(temporary) == [], finished.stderr
    return finished


INTERRUPTED = """
def interrupt(*seconds):
    for after in seconds:
        threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT)).start()
def interrupted(*seconds):  # while the library works
    def progress(*step):
        interrupt(*seconds)
        time.sleep(60)
    return progress
"""


@pytest.mark.parametrize(("when", "code"), [
    ("samples", "def some():\n  yield samples[0]\n  interrupt(0.05)\n  while True: yield samples[1]\n"
                "dnateq.quantize(network, some(), **options)"),
    ("metric", "def metric(model):\n  interrupt(0.05)\n  time.sleep(60)\n"
               "dnateq.quantize(network, samples, metric=metric, max_loss=.5, **options)"),
    ("work", "dnateq.quantize(network, samples, target_bits=4, threads=1, progress=interrupted(0))"),
    ("work, twice", "dnateq.quantize(network, samples, target_bits=4, threads=1, progress=interrupted(0, 0.02))"),
    ("analysis", "dnateq.analyze(network, samples, progress=interrupted(0))"),
])
def test_interrupts_leave_nothing(tmp_path, when, code):
    finished = run(tmp_path, INTERRUPTED + code)
    assert finished.returncode in (-2, 130, 1) and finished.stderr.strip().endswith("KeyboardInterrupt"), finished.stderr


def test_an_exit_while_work_is_stopping(tmp_path):
    finished = run(tmp_path, """
def progress(*step): raise SystemExit(5)
import dnateq._watch
dnateq._watch._SECONDS_TO_STOP = 0
dnateq.quantize(network, samples, target_bits=4, threads=1, progress=progress)
""")
    assert (finished.returncode, finished.stderr) == (5, "")


def test_forks(tmp_path):
    finished = run(tmp_path, """
import multiprocessing
fork = multiprocessing.get_context("fork")
def child(queue):
    try: dnateq.quantize(network, samples[:4], target_bits=4, **options)
    except RuntimeError as error: queue.put(str(error))
def metric(model):  # as data loaders do
    with fork.Pool(2) as pool: return float(sum(pool.map(abs, [1, -1])))
result = dnateq.quantize(network, samples[:4], metric=metric, max_loss=.5, budget=.1, **options)
queue = fork.Queue()
process = fork.Process(target=child, args=(queue,))
process.start()
print(result.metric["reference"], queue.get(timeout=60))
process.join()
""")
    assert finished.stdout.startswith("2.0 dnateq worked before this process was forked"), finished.stderr


def test_a_full_disk_and_folders_that_cannot_be_written(tmp_path, network, samples):
    finished = run(tmp_path, """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try: dnateq.quantize("model.xml", samples, target_bits=4, **options)
except ValueError as error: print(type(error).__name__, error)
""", cwd=saved(network, tmp_path))
    assert "ValueError the samples of calibration cannot be kept on disk: File too large; set TMPDIR" in finished.stdout, finished.stderr
    for folder in ("/proc/none", tmp_path / "net/model.xml"):
        with pytest.raises((ValueError, OSError), match=str(folder)):
            dnateq.quantize(network, samples, directory=folder, **SETTINGS)
    start(network, samples, directory=tmp_path / "ö" / "ü")


def saved(network, tmp_path):
    ov.save_model(network, tmp_path / "net/model.xml", compress_to_fp16=False)
    return tmp_path / "net"
