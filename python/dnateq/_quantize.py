"""Quantization with the user's own data, metric and progress."""

import math
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openvino

from dnateq import _core, _watch
from dnateq._data import Transform, labels_of, spool
from dnateq._models import compile_for_judging, file_of
from dnateq._program import program
from dnateq._result import Result

Metric = Callable[[openvino.CompiledModel], float]
_NAMED_METRICS = ("top1", "top5", "agreement", "cosine", "kl")


@dataclass
class _Kept:
    """What a result needs to be allocated again."""

    folders: list[Any]
    data: _core.Data
    judge: Callable[[Path], float] | None
    threads: int


def _python_names(sentence: str) -> str:
    """The library's sentences name the program's options; a Python user knows them as keywords."""
    import re
    names = {"ignore": "ignored", "expect-m": "expect_rows", "resume": "resume=True"}
    return re.sub(r"--([a-z][a-z0-9-]+)", lambda found: names.get(found[1], found[1].replace("-", "_")), sentence)


def _watched(work: _core.Work, progress: bool | _watch.Progress, judge: Callable[[Path], float] | None = None) -> Any:
    try:
        return _watch.run(work, progress, judge)
    except _core.Error as error:
        raise ValueError(_python_names(str(error))) from None


def _score_of(metric: Callable[..., float], argument: Any) -> float:
    value = metric(argument)
    name = getattr(metric, "__name__", type(metric).__name__)
    try:
        score = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"the metric {name} returned a {type(value).__name__}; it must return one number") from None
    if not math.isfinite(score):
        raise ValueError(f"the metric {name} returned {score}; it must return a finite number")
    return score


def _bits(value: float | tuple[float, float]) -> str:
    return "/".join(f"{bits:g}" for bits in value) if isinstance(value, tuple) else f"{value:g}"


def _first(samples: Any) -> Any:
    """The first sample, for tracing; the iterable must be readable again."""
    return next(iter(samples), None)


def quantize(model: Any, calibration: Iterable[Any], *, metric: str | Metric | None = None,
             validation: Iterable[Any] | None = None, labels: Any = None, transform: Transform | None = None,
             max_loss: float | None = None, target_bits: float | tuple[float, float] | None = None,
             weight_bits: int | None = None, activation_bits: int | None = None, strategy: str = "optimal",
             family: str = "free", emit: str = "cpu", ignored: Sequence[str] = (), only: Sequence[str] = (),
             untie: Sequence[str] = (), output: str | None = None, expect_rows: int | None = None,
             weights_only: bool = False, budget: float | None = None, int8: str | os.PathLike[str] | None = None,
             seed: int = 0, threads: int = 0, directory: str | os.PathLike[str] | None = None, resume: bool = False,
             progress: bool | _watch.Progress = True) -> Result:
    """Quantizes a trained network to few bits a value, without retraining.

    Args:
        model: path of an ONNX or OpenVINO file, `openvino.Model`, `onnx.ModelProto` or `torch.nn.Module`.
        calibration: unlabelled inputs: an iterable of dicts by the model's input names, of arrays (one input), or of tuples
            in the inputs' order. Each item is one call of the network, batch axis included; shapes may differ from call to
            call. Read once, one item at a time; the samples lie on disk meanwhile (in TMPDIR).
        metric: what the loss is measured by. A function: gets an `openvino.CompiledModel` of the FP32 network, then of
            candidates, on this thread, and returns a number, higher is better. A name: `top1`, `top5` (with `labels`),
            `agreement`, `cosine`, `kl` (against FP32). Default: `top1` with labels, else `cosine`.
        validation: samples to judge on, for named metrics; else some of `calibration` are held back.
        labels: of the validation samples, whole numbers; first axis of every validation array counts samples then.
        transform: applied to each item first, as in NNCF's `Dataset`; for instance to drop labels.
        max_loss: fewest bits whose loss is at most this: relative to FP32's score for a function, points for `top1`, `top5`,
            `agreement`, `cosine`, nats for `kl`. Default 0.01, where no bits are given.
        target_bits: mean stored bits a value instead: of weights, or (weights, activations).
        weight_bits, activation_bits: the same width everywhere instead.
        strategy: `optimal` (ours), `paper` (DNA-TEQ's search), `uniform` (clipped uniform grids, to compare).
        family: `free`, `shared-base`, `beta0` or `pow2:Q`.
        emit: `cpu` (for speed: 8-bit activations, our kernels where memory binds), `standard` (any OpenVINO loads it),
            `exact` (activations of few bits too), `both` (cpu and exact).
        ignored, only, untie: regular expressions on layer names: stay in FP32; alone are quantized; get codes of their own
            although another layer has the same weights.
        output: the output that a named metric reads (default: the first).
        expect_rows: rows of activations in a call, for `cpu`: 1 for decoding token by token (default: as calibrated).
        weights_only: leaves activations in FP32.
        budget: seconds after which no further candidate is begun.
        int8: an INT8 model of the same network to judge beside.
        seed: same model, samples, options and seed give the same bytes, whatever `threads`.
        threads: 0: all.
        directory: where the result lies (default: a temporary folder that goes with the result).
        resume: goes on with an interrupted run in `directory`.
        progress: draws bars with tqdm; or a function of (stage, done, total).

    Returns:
        The result: `model`, `recipe`, `layers`, `metric`, `save`, `report`.

    Raises:
        ValueError, TypeError, FileNotFoundError: wrong model, samples or options; the sentence names what and where.
        KeyboardInterrupt: within a second. The best so far, and what `resume` goes on from, stays in `directory`.
        Exception: whatever `metric`, `transform` or an iterable raises, unchanged.

    Source: DNA-TEQ (arXiv 2306.16430) for the codes; the search is ours (docs: the mathematics).

    Examples:
        >>> result = dnateq.quantize("resnet.onnx", images, target_bits=(3.6, 3.8), emit="both")  # doctest: +SKIP
    """
    arguments = _core.QuantizeArguments()
    wishes = [max_loss is not None, target_bits is not None, weight_bits is not None or activation_bits is not None]
    if sum(wishes) > 1:
        raise ValueError("max_loss, target_bits and weight_bits/activation_bits exclude each other; give one of them")
    if max_loss is not None:
        arguments.max_loss = f"{max_loss:.17g}"
    if target_bits is not None:
        arguments.target_bits = _bits(target_bits)
    for name, bits, most in (("weight_bits", weight_bits, 7), ("activation_bits", activation_bits, 8)):
        if bits is not None:
            if not 2 <= bits <= most:
                raise ValueError(f"{name} is {bits}; it must lie between 2 and {most}")
            setattr(arguments, name, bits)
    for name, value, known in (("strategy", strategy, ("optimal", "paper", "uniform")),):
        if value not in known:
            raise ValueError(f"{name} is '{value}'; give one of {', '.join(known)}")
    if isinstance(metric, str) and metric not in _NAMED_METRICS:
        raise ValueError(f"metric is '{metric}'; give a function, or one of {', '.join(_NAMED_METRICS)}")
    if metric is not None and not isinstance(metric, str) and not callable(metric):
        raise TypeError(f"metric is a {type(metric).__name__}; give a function, or a name")
    if callable(metric) and (validation is not None or labels is not None):
        raise ValueError("a metric of your own brings its own samples; leave validation and labels out")
    if labels is not None and validation is None:
        raise ValueError("labels belong to validation samples; give those too")
    arguments.strategy, arguments.family, arguments.emit = strategy, family, emit
    arguments.ignore, arguments.only, arguments.untie = list(ignored), list(only), list(untie)
    arguments.output = output or ""
    arguments.expect_m = expect_rows or 0
    arguments.weights_only, arguments.seed, arguments.resume = weights_only, seed, resume
    arguments.budget = f"{budget:.17g}" if budget is not None else ""
    arguments.int8 = os.fspath(int8) if int8 is not None else "none"

    folders: list[Any] = []

    def temporary() -> Path:
        folders.append(tempfile.TemporaryDirectory(prefix="dnateq-"))
        return Path(folders[-1].name)

    example = _first(calibration) if type(model).__module__.startswith("torch") else None
    file = file_of(model, temporary() if not isinstance(model, (str, os.PathLike)) else Path(), example)
    arguments.model = str(file)
    try:
        names = _core.input_names(file)
    except _core.Error as error:
        raise ValueError(_python_names(str(error))) from None
    data = _core.Data(spool(calibration, names, transform, "calibration"),
                      None if validation is None else spool(validation, names, transform, "validation", labels is not None),
                      [] if labels is None else labels_of(labels))

    judge: Callable[[Path], float] | None = None
    if callable(metric):
        function = metric
        arguments.metric = "function:" + str(getattr(metric, "__name__", type(metric).__name__))

        def judge(path: Path) -> float:
            return _score_of(function, compile_for_judging(path, threads))
    elif metric is not None:
        arguments.metric = metric

    target = Path(directory) if directory is not None else temporary()
    summary = _watched(_core.quantize(arguments, data, target, threads, program()), progress, judge)
    return Result(target, summary, _Kept(folders, data, judge, threads))


def allocate(result: Result, *, target_bits: float | tuple[float, float] | None = None, max_loss: float | None = None,
             directory: str | os.PathLike[str] | None = None, progress: bool | _watch.Progress = True) -> Result:
    """Shares out another number of bits, from the measurements of an earlier result.

    Args:
        result: of `quantize`, in this process: its samples are still at hand.
        target_bits, max_loss: one of them, as in `quantize`.
        directory: where the new result lies (default: a temporary folder that goes with it).
        progress: as in `quantize`.

    Returns:
        The new result.

    Raises:
        ValueError: as `quantize`; also where the result is of an earlier process, whose samples are gone.

    Examples:
        >>> smaller = dnateq.allocate(result, target_bits=3.5)  # doctest: +SKIP
    """
    kept = result._keep
    if not isinstance(kept, _Kept):
        raise ValueError("the samples of this result are gone; quantize again")
    if (target_bits is None) == (max_loss is None):
        raise ValueError("give either target_bits or max_loss")
    try:
        arguments = _core.arguments_of_result(result.directory)
    except _core.Error as error:
        raise ValueError(_python_names(str(error))) from None
    arguments.target_bits = _bits(target_bits) if target_bits is not None else ""
    arguments.max_loss = f"{max_loss:.17g}" if max_loss is not None else ""
    folders = list(kept.folders)
    if directory is None:
        folders.append(tempfile.TemporaryDirectory(prefix="dnateq-"))
    target = Path(directory) if directory is not None else Path(folders[-1].name)
    work = _core.allocate(result.directory, arguments, kept.data, target, kept.threads, program())
    return Result(target, _watched(work, progress, kept.judge), _Kept(folders, kept.data, kept.judge, kept.threads))


def analyze(model: Any, calibration: Iterable[Any], *, transform: Transform | None = None, only: Sequence[str] = (),
            ignored: Sequence[str] = (), threads: int = 0, progress: bool | _watch.Progress = True) -> list[dict[str, Any]]:
    """Which distribution each weight and activation tensor follows.

    Args:
        model, calibration, transform, only, ignored, threads, progress: as in `quantize`.

    Returns:
        One row a tensor, which `pandas.DataFrame` takes as it is: layer, tensor, kind (weights or activations), values, zeros,
        minimum, maximum, best (normal, exponential, pareto or uniform: least residual sum of squares), fits.

    Raises:
        ValueError, TypeError, FileNotFoundError: as `quantize`.

    Source: DNA-TEQ (arXiv 2306.16430), its analysis of tensors' distributions.

    Examples:
        >>> dnateq.analyze("resnet.onnx", images)[0]["best"]  # doctest: +SKIP
        'exponential'
    """
    with tempfile.TemporaryDirectory(prefix="dnateq-") as folder:
        file = file_of(model, Path(folder), _first(calibration) if type(model).__module__.startswith("torch") else None)
        try:
            names = _core.input_names(file)
        except _core.Error as error:
            raise ValueError(_python_names(str(error))) from None
        samples = spool(calibration, names, transform, "calibration")
        document = _watched(_core.analyze(str(file), samples, list(only), list(ignored), threads), progress)
    tensors: list[dict[str, Any]] = document["tensors"]
    return tensors
