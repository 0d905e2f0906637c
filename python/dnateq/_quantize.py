"""Quantization with the user's own data, metric and progress."""

import itertools
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import openvino

from dnateq import _core, _watch
from dnateq._checks import library_errors, patterns, real, text, whole
from dnateq._data import Transform, has_length, labels_of, spool, spool_subset
from dnateq._ignored import Ignored, ignore
from dnateq._models import compile_for_judging, file_of, is_torch
from dnateq._program import program
from dnateq._result import ManyResult, NotCertified, Result

# A number, one number a sample, or both.
Score = float | Sequence[float] | tuple[float, Sequence[float]]
Metric = Callable[[openvino.CompiledModel], Score]
JointMetric = Callable[[dict[str, openvino.CompiledModel]], Score]
_STRATEGIES = ("optimal", "paper", "uniform")
_NAMED_METRICS = ("top1", "top5", "agreement", "cosine", "kl")


@dataclass
class _Kept:
    """What a result needs to be allocated again."""

    folders: "_Folders"
    data: _core.Data
    judge: _watch.Judge | None
    threads: int
    model: str
    metric: str


@dataclass
class _KeptMany:
    """The same for networks that were quantized together: by name."""

    folders: "_Folders"
    samples: dict[str, _core.Spool]
    judge: _watch.Judge
    threads: int
    models: dict[str, str]
    metric: str


def _watched(work: _core.Work, progress: bool | _watch.Progress, judge: _watch.Judge | None = None, keep: Any = None) -> Any:
    with library_errors():
        return _watch.run(work, progress, judge, keep)


def _finite(name: str, value: Any) -> float:
    try:
        score = float(value.item() if getattr(value, "size", None) == 1 else value)
    except (TypeError, ValueError):
        raise TypeError(f"the metric {name} returned a {type(value).__name__}; it must return one number, or one a "
                        "sample") from None
    if not math.isfinite(score):
        raise ValueError(f"the metric {name} returned {score}; it must return a finite number")
    return score


def _sample_scores(name: str, values: Any) -> list[float]:
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "biuf":
        raise TypeError(f"the metric {name} returned sample scores of shape {array.shape} and type {array.dtype}; it must return "
                        "one number a sample")
    if not np.isfinite(array).all():
        at = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"the metric {name} returned {array[at]} as the score of sample {at}; every score must be a finite "
                         "number")
    return [float(value) for value in array]


def _score_of(metric: Callable[..., Score], argument: Any) -> tuple[float, list[float]]:
    """The metric's number, and one number a sample where it gives those."""
    value: Any = metric(argument)
    name = getattr(metric, "__name__", type(metric).__name__)
    if isinstance(value, tuple) and len(value) == 2 and np.ndim(value[0]) == 0 and np.ndim(value[1]) == 1:
        return _finite(name, value[0]), _sample_scores(name, value[1])
    if not isinstance(value, (str, bytes, Mapping)) and hasattr(value, "__len__") and np.ndim(value) > 0 and np.size(value) != 1:
        scores = _sample_scores(name, value)
        return math.fsum(scores) / len(scores), scores
    return _finite(name, value), []


def _bits(value: float | tuple[float, float]) -> str:
    if isinstance(value, (tuple, list)) and len(value) != 2:
        raise TypeError(f"target_bits has {len(value)} values; give a number or a pair (weights, activations)")
    pair = value if isinstance(value, (tuple, list)) else (value,)
    return "/".join(repr(real("target_bits", bits)) for bits in pair)


def _range(value: tuple[float, float]) -> str:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError("metric_range is no pair; give the least and the greatest score of a sample, such as (0, 1)")
    low, high = (real("metric_range", end) for end in value)
    if not low < high:
        raise ValueError(f"metric_range is ({low}, {high}); give the least and the greatest score of a sample, such as (0, 1)")
    return f"{low!r},{high!r}"


def _set_limit(arguments: _core.QuantizeArguments, max_drop: float | None, drop_type: str | None, max_loss: float | None) -> bool:
    """Whether there is a limit. Raises ValueError and TypeError."""
    if max_drop is not None and max_loss is not None:
        raise ValueError("max_loss is an older name of max_drop; give max_drop alone")
    if drop_type is not None:
        # NNCF's DropType, which is an enumeration of these names, does as well.
        name = getattr(drop_type, "value", drop_type)
        if name not in ("absolute", "relative"):
            raise ValueError(f"drop_type is {drop_type!r}; give 'absolute' or 'relative'")
        if max_drop is None:
            raise ValueError("drop_type says how max_drop counts; give max_drop too")
        arguments.drop_type = name
    arguments.max_drop = repr(real("max_drop", max_drop)) if max_drop is not None else ""
    arguments.max_loss = repr(real("max_loss", max_loss)) if max_loss is not None else ""
    return max_drop is not None or max_loss is not None


def _arguments(*, metric: object, metric_range: tuple[float, float] | None, max_drop: float | None,
               drop_type: str | None, max_loss: float | None, require_certificate: bool,
               target_bits: float | tuple[float, float] | None, weight_bits: int | None, activation_bits: int | None, strategy: str, family: str, emit: str, expect_rows: int | None,
               batch_axis: int | None, weights_only: bool, target_isa: str, budget: float | None, seed: int,
               resume: bool, thr_weights: float | None = None, thr_activations: float | None = None,
               thr_plans: int | None = None) -> _core.QuantizeArguments:
    """The options that all networks of a search have in common. Raises ValueError and TypeError."""
    arguments = _core.QuantizeArguments()
    has_limit = _set_limit(arguments, max_drop, drop_type, max_loss)
    wishes = [has_limit, target_bits is not None, weight_bits is not None or activation_bits is not None]
    if sum(wishes) > 1:
        raise ValueError("max_drop, target_bits and weight_bits/activation_bits exclude each other; give one of them")
    if require_certificate and any(wishes[1:]):
        raise ValueError("require_certificate belongs to max_drop, since bits alone promise nothing; leave one of them out")
    arguments.require_certificate = bool(require_certificate)
    if metric_range is not None:
        if not callable(metric):
            raise ValueError("metric_range belongs to a metric of your own; the range of the named ones is known")
        arguments.metric_range = _range(metric_range)
    if target_bits is not None:
        arguments.target_bits = _bits(target_bits)
    for name, bits, most in (("weight_bits", weight_bits, 7), ("activation_bits", activation_bits, 8)):
        if bits is not None:
            setattr(arguments, name, whole(name, bits, 2, most))
    for name, threshold in (("thr_weights", thr_weights), ("thr_activations", thr_activations)):
        if threshold is not None:
            setattr(arguments, name, repr(real(name, threshold)))
    if thr_plans is not None:
        arguments.thr_plans = whole("thr_plans", thr_plans, 0, 64)
    for name, value in (("strategy", strategy), ("family", family), ("emit", emit), ("target_isa", target_isa)):
        text(name, value)
    if strategy not in _STRATEGIES:
        raise ValueError(f"strategy is '{strategy}'; give one of {', '.join(_STRATEGIES)}")
    if target_isa not in ("any", "vnni"):
        raise ValueError(f"target_isa is '{target_isa}'; give any or vnni")
    if isinstance(metric, str) and metric not in _NAMED_METRICS:
        raise ValueError(f"metric is '{metric}'; give a function, or one of {', '.join(_NAMED_METRICS)}")
    if metric is not None and not isinstance(metric, str) and not callable(metric):
        raise TypeError(f"metric is a {type(metric).__name__}; give a function, or a name")
    arguments.strategy, arguments.family, arguments.emit = strategy, family, emit
    arguments.target_isa = target_isa
    arguments.expect_rows = whole("expect_rows", expect_rows, 1, 2**31) if expect_rows is not None else 0
    arguments.batch_axis = whole("batch_axis", batch_axis, 0, 15) if batch_axis is not None else -1
    arguments.weights_only, arguments.resume = bool(weights_only), bool(resume)
    arguments.seed = whole("seed", seed, 0, 2**64 - 1)
    arguments.budget = repr(real("budget", budget)) if budget is not None else ""
    if callable(metric):
        arguments.metric = "function:" + str(getattr(metric, "__name__", type(metric).__name__))
    elif metric is not None:
        arguments.metric = str(metric)
    return arguments


_AnyResult = TypeVar("_AnyResult", Result, ManyResult)


def _certified(result: _AnyResult, required: bool) -> _AnyResult:
    """The result. Raises NotCertified if it is required to be certified, and is not."""
    if required and not result.certified:
        raise NotCertified(f"the loss limit is {result.verdict or 'not certified'}; the exception's result holds everything",
                           result)
    return result


class _Folders:
    """Temporary folders, which go with this object."""

    def __init__(self) -> None:
        self._made: list[tempfile.TemporaryDirectory[str]] = []

    def make(self) -> Path:
        """A new one."""
        self._made.append(tempfile.TemporaryDirectory(prefix="dnateq-"))
        return Path(self._made[-1].name)


def _file_and_samples(model: Any, samples: Iterable[Any], transform: Transform | None, what: str, subset_size: int | None,
                      folders: _Folders) -> tuple[Path, list[str], _core.Spool]:
    """A network's file, the names of its inputs, its calibration samples."""
    if subset_size is not None:
        whole("subset_size", subset_size, 1, 2**31)
    known_length = has_length(samples)
    example = None
    if is_torch(model):  # it is traced with the first sample
        rest = iter(samples)
        first = next(rest, None)
        samples = itertools.chain([] if first is None else [first], rest)
        example = transform(first) if transform is not None and first is not None else first
    file = file_of(model, Path() if isinstance(model, (str, os.PathLike)) else folders.make(), example)
    with library_errors():
        names = _core.input_names(file)
    return file, names, spool_subset(samples, names, transform, what, subset_size, known_length)


def _int8_model(what: str, file: str | os.PathLike[str]) -> str:
    if file != "none" and not Path(file).exists():
        raise FileNotFoundError(f"there is no model file '{file}'; check {what}")
    return os.path.abspath(file) if file != "none" else "none"


def quantize(model: Any, calibration: Iterable[Any], *, metric: str | Metric | None = None,
             validation: Iterable[Any] | None = None, labels: Any = None, transform: Transform | None = None,
             subset_size: int | None = None, metric_range: tuple[float, float] | None = None, max_drop: float | None = None,
             drop_type: str | None = None,
             require_certificate: bool = False,
             target_bits: float | tuple[float, float] | None = None, weight_bits: int | None = None,
             activation_bits: int | None = None, thr_weights: float | None = None, thr_activations: float | None = None,
             thr_plans: int | None = None, strategy: str = "optimal",
             family: str = "free", emit: str = "auto", ignored: Ignored = (), only: Sequence[str] = (),
             untie: Sequence[str] = (), output: str | None = None, expect_rows: int | None = None,
             batch_axis: int | None = None, weights_only: bool = False, target_isa: str = "any", budget: float | None = None,
             int8: str | os.PathLike[str] | None = None, seed: int = 0, threads: int = 0,
             directory: str | os.PathLike[str] | None = None, resume: bool = False, progress: bool | _watch.Progress = True,
             max_loss: float | None = None) -> Result:
    """Quantizes a trained network to few bits a value, without retraining.

    Args:
        model: path of an ONNX or OpenVINO file, `openvino.Model`, `onnx.ModelProto` or `torch.nn.Module`.
        calibration: unlabelled inputs: an iterable of dicts by the model's input names, of arrays (one input), or of tuples
            in the inputs' order. Each item is one call of the network, batch axis included; shapes may differ from call to
            call, and a call may hold many samples (`batch_axis`). Read once, one item at a time; the samples lie on disk
            meanwhile (in TMPDIR). It may be endless, see `subset_size`.
        metric: what the loss is measured by. A function: gets an `openvino.CompiledModel` of the FP32 network, then of
            candidates, on this thread, and returns a number, higher is better; or a sequence of one number a sample, or
            `(score, per_sample)`: only then can the loss be bounded on data not yet seen. A name: `top1`, `top5` (with
            `labels`), `agreement`, `cosine`, `kl` (against FP32). Default: `top1` with labels, else `cosine`.
        validation: samples to judge on, for named metrics; else some of `calibration` are held back.
        labels: of the validation samples, whole numbers; first axis of every validation array counts samples then.
        transform: applied to each item first, as in NNCF's `Dataset`; for instance to drop labels.
        subset_size: how many items of `calibration` are taken, the first of them (default: all; where it has no length, as a
            generator, at most 1,024, with a warning). `validation` is always read to its end.
        max_drop: fewest bits whose loss is at most this, counted as `drop_type` says. Where the samples can show it, the result
            is certified: at 95 % the loss on unseen data like them is within the limit. Default, where no bits are given: 0.01,
            relative for a function and absolute for a named metric.
        drop_type: as NNCF has it: `absolute`, in the metric's own units (0.01 of `top1` is one point; the default), or
            `relative` to FP32's score.
        metric_range: (least, greatest) score of one sample by a metric function; without it, its bound is by bootstrap.
        require_certificate: raises NotCertified where the samples cannot show `max_drop`.
        target_bits: mean stored bits a value instead: of weights, or (weights, activations).
        weight_bits, activation_bits: the same width everywhere instead, 2 to 7 and 2 to 8. One alone leaves the other kind to the
            strategy: as many bits in all as 4 everywhere, shared out by sensitivity. Not with strategy `paper`.
        thr_weights, thr_activations: the paper's thresholds instead, with strategy `paper`: a layer gets the fewest exponent
            bits whose relative mean absolute errors lie within them, above 0 and at most 1.
        thr_plans: with strategy `paper`, how many further plans of the recipe's grid of thresholds are judged (default: 16; 0
            with a metric of your own).
        strategy: `optimal` (ours), `paper` (DNA-TEQ's search), `uniform` (clipped uniform grids, to compare).
        family: `free`, `shared-base`, `beta0` or `pow2:Q`.
        emit: `auto`: `cpu`, and `exact` beside it where activations of less than 8 bits are asked for. Or `cpu` (for speed: 8-bit activations, our kernels where memory binds), `standard` (any OpenVINO loads it),
            `exact` (activations of few bits too), `both` (cpu and exact); or `counting` (every product by counting exponents;
            slow; with family `shared-base` or `beta0`, or strategy `paper`).
        ignored: layers that stay in FP32: regular expressions, searched for in their names; or an `IgnoredScope` of names,
            types and patterns, ours or NNCF's. What matches nothing is an error.
        only, untie: regular expressions on layer names: alone are quantized; get codes of their own although another layer has
            the same weights.
        output: the output that a named metric reads (default: the first in float32).
        expect_rows: rows of activations in a call, for `cpu`: 1 for decoding token by token (default: as calibrated).
        batch_axis: axis of the inputs along which a call holds several samples (default: the first, where the network shows
            that its samples do not see each other; with `labels` always the first).
        weights_only: leaves activations in FP32.
        target_isa: `any`: `cpu` and `standard` compute the same integers on every CPU; `vnni`: on CPUs with VNNI, others are
            refused (docs: every CPU).
        budget: seconds after which no further candidate is begun.
        int8: an INT8 model of the same network to judge beside.
        seed: same model, samples, options and seed give the same bytes, whatever `threads`.
        threads: 0: all.
        directory: where the result lies (default: a temporary folder that goes with the result). Of what lies there, only a former
            result is replaced, once the new one is whole; files of other origin in its place are refused.
        resume: goes on with an interrupted run in `directory`.
        progress: draws bars with tqdm; or a function of (stage, done, total).
        max_loss: the older name of `max_drop`: relative for a function, absolute for a named metric.

    Returns:
        The result: `model`, `recipe`, `layers`, `metric`, `save`, `report`.

    Raises:
        ValueError, TypeError, FileNotFoundError: wrong model, samples or options; the sentence names what and where.
        NotCertified: under `require_certificate`; its `result` is the whole result.
        KeyboardInterrupt: within a second. The best so far, and what `resume` goes on from, stays in the folder `unfinished` of
            `directory`.
        Exception: whatever `metric`, `transform` or an iterable raises, unchanged.

    Source: DNA-TEQ (arXiv 2306.16430) for the codes; the search is ours (docs: the mathematics).

    Examples:
        >>> result = dnateq.quantize("resnet.onnx", images, target_bits=(3.6, 3.8), emit="both")  # doctest: +SKIP
    """
    if callable(metric) and (validation is not None or labels is not None):
        raise ValueError("a metric of your own brings its own samples; leave validation and labels out")
    if labels is not None and validation is None:
        raise ValueError("labels belong to validation samples; give those too")
    arguments = _arguments(metric=metric, metric_range=metric_range, max_drop=max_drop, drop_type=drop_type,
                         max_loss=max_loss,
                           require_certificate=require_certificate, target_bits=target_bits, weight_bits=weight_bits,
                           activation_bits=activation_bits, strategy=strategy, family=family, emit=emit,
                           expect_rows=expect_rows, batch_axis=batch_axis, weights_only=weights_only, target_isa=target_isa,
                           budget=budget, seed=seed,
                           resume=resume, thr_weights=thr_weights, thr_activations=thr_activations, thr_plans=thr_plans)
    ignore(arguments, "ignored", ignored)
    arguments.only = patterns("only", only)
    arguments.untie = patterns("untie", untie)
    arguments.output = text("output", output) if output is not None else ""
    threads = whole("threads", threads, 0, 1 << 16)
    arguments.int8 = _int8_model("int8", int8) if int8 is not None else "none"

    folders = _Folders()
    file, names, kept_samples = _file_and_samples(model, calibration, transform, "calibration", subset_size, folders)
    arguments.model = str(file)
    data = _core.Data(kept_samples,
                      None if validation is None else spool(validation, names, transform, "validation",
                                                          labels is not None and batch_axis is None),
                      [] if labels is None else labels_of(labels))
    judge = None
    if callable(metric):
        function = metric

        def judge(files: list[Path]) -> tuple[float, list[float]]:
            return _score_of(function, compile_for_judging(files[0], threads))

    target = Path(directory).absolute() if directory is not None else folders.make()
    summary = _watched(_core.quantize(arguments, data, target, threads, program()), progress, judge, folders)
    kept = _Kept(folders, data, judge, threads, arguments.model, arguments.metric)
    return _certified(Result(target, summary, kept), require_certificate)


def quantize_many(models: Mapping[str, Any], calibration: Mapping[str, Iterable[Any]], *, metric: JointMetric,
                  transform: Transform | None = None, subset_size: int | None = None,
                  metric_range: tuple[float, float] | None = None, max_drop: float | None = None, drop_type: str | None = None,
                  require_certificate: bool = False,
                  target_bits: float | tuple[float, float] | None = None, weight_bits: int | None = None,
                  activation_bits: int | None = None, strategy: str = "optimal", family: str = "free", emit: str = "auto",
                  ignored: Mapping[str, Ignored] | None = None, only: Mapping[str, Sequence[str]] | None = None,
                  untie: Mapping[str, Sequence[str]] | None = None, expect_rows: int | None = None,
                  batch_axis: int | None = None, weights_only: bool = False, target_isa: str = "any",
                  budget: float | None = None, int8: Mapping[str, str | os.PathLike[str]] | None = None, seed: int = 0,
                  threads: int = 0, directory: str | os.PathLike[str] | None = None, resume: bool = False,
                  progress: bool | _watch.Progress = True, max_loss: float | None = None) -> ManyResult:
    """Quantizes several networks that work together, such as encoder and decoder, under one metric.

    Bits are shared out over the layers of all of them. How much a network's own error counts is found by quantizing each
    alone, coarsely, and asking the metric: one more call of it a network.

    Args:
        models: by name, each as in `quantize`.
        calibration: samples of each network, by the same names.
        metric: gets a dict of an `openvino.CompiledModel` by name, and returns a number, one a sample, or both, as in `quantize`.
        ignored, only, untie: layers, as in `quantize`, by network's name.
        int8: an INT8 model of each of the networks, by name, to judge together beside.
        transform, subset_size, metric_range, max_drop, drop_type, require_certificate, target_bits, weight_bits,
            activation_bits, strategy, family, emit, expect_rows, batch_axis, weights_only, target_isa, budget, seed, threads,
            resume, progress, max_loss: as in `quantize`; bits are means over all networks.
        directory: each network's result lies in the folder of its name there.

    Returns:
        The results by name.

    Raises:
        As `quantize`.

    Source: ours.

    Examples:
        >>> models = {"left": "resnet.onnx", "right": "resnet.onnx"}
        >>> samples = {"left": images, "right": images}
        >>> results = dnateq.quantize_many(models, samples, metric=lambda pair: 1.0, target_bits=4)  # doctest: +SKIP
        >>> results["left"].model  # doctest: +SKIP
    """
    if not isinstance(models, Mapping) or not models:
        raise TypeError("models is no mapping of networks by name; for one network call quantize")
    for name in models:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
            raise ValueError(f"a network is called {name!r}; use letters, digits, '_', '-' and '.', since a folder is called so")
    if not callable(metric):
        raise TypeError("several networks are judged together by a metric of your own; metric must be a function")
    for what, given in (("calibration", calibration), ("ignored", ignored), ("only", only), ("untie", untie),
                        ("int8", int8)):
        if given is not None and not isinstance(given, Mapping):
            raise TypeError(f"{what} is a {type(given).__name__}; give a mapping by the networks' names")
        strangers = set(given or ()) - set(models)
        if strangers:
            raise ValueError(f"{what} names '{sorted(strangers)[0]}', and the networks are: {', '.join(models)}")
    missing = [name for name in models if name not in calibration]
    if missing:
        raise ValueError(f"calibration has no samples of '{missing[0]}'")
    without = [name for name in models if int8 is not None and name not in int8]
    if without:
        raise ValueError(f"int8 has no model of '{without[0]}', and the metric judges all of them together; give one of each")
    threads = whole("threads", threads, 0, 1 << 16)
    folders = _Folders()
    arguments, samples = [], []
    for name, model in models.items():
        one = _arguments(metric=metric, metric_range=metric_range, max_drop=max_drop, drop_type=drop_type,
                         max_loss=max_loss,
                         require_certificate=require_certificate, target_bits=target_bits, weight_bits=weight_bits,
                         activation_bits=activation_bits, strategy=strategy, family=family, emit=emit,
                         expect_rows=expect_rows, batch_axis=batch_axis, weights_only=weights_only, target_isa=target_isa,
                         budget=budget, seed=seed,
                         resume=resume)
        file, _, kept_samples = _file_and_samples(model, calibration[name], transform, f"calibration['{name}']", subset_size,
                                                  folders)
        one.model, one.int8 = str(file), "none" if int8 is None else _int8_model(f"int8['{name}']", int8[name])
        ignore(one, f"ignored['{name}']", (ignored or {}).get(name, ()))
        one.only = patterns(f"only['{name}']", (only or {}).get(name, ()))
        one.untie = patterns(f"untie['{name}']", (untie or {}).get(name, ()))
        arguments.append(one)
        samples.append(kept_samples)
    names = list(models)

    def judge(files: list[Path]) -> tuple[float, list[float]]:
        return _score_of(metric, {name: compile_for_judging(file, threads) for name, file in zip(names, files, strict=True)})

    target = Path(directory).absolute() if directory is not None else folders.make()
    summaries = _watched(_core.quantize_many(names, arguments, samples, target, threads, program()), progress, judge, folders)
    kept = _KeptMany(folders, dict(zip(names, samples, strict=True)), judge, threads,
                     {name: one.model for name, one in zip(names, arguments, strict=True)}, arguments[0].metric)
    return _certified(_many_result(target, summaries, kept), require_certificate)


def _many_result(target: Path, summaries: list[Any], kept: _KeptMany) -> ManyResult:
    return ManyResult(target, {name: Result(target / name, summary, kept)
                               for name, summary in zip(kept.models, summaries, strict=True)}, kept)


def allocate(result: _AnyResult, *, target_bits: float | tuple[float, float] | None = None, max_drop: float | None = None,
             drop_type: str | None = None, require_certificate: bool = False, directory: str | os.PathLike[str] | None = None,
             progress: bool | _watch.Progress = True, max_loss: float | None = None) -> _AnyResult:
    """Shares out another number of bits, from the measurements of an earlier result.

    Args:
        result: of `quantize` or `quantize_many`, in this process: its samples are still at hand.
        target_bits, max_drop: one of them, as in `quantize`; `drop_type` too.
        require_certificate: as in `quantize`, with `max_drop`.
        directory: where the new result lies (default: a temporary folder that goes with it).
        progress, max_loss: as in `quantize`.

    Returns:
        The new result.

    Raises:
        ValueError, NotCertified: as `quantize`; also where the result is of an earlier process, whose samples are gone.

    Examples:
        >>> smaller = dnateq.allocate(result, target_bits=3.5)  # doctest: +SKIP
    """
    _watch.use()
    if not isinstance(result, (Result, ManyResult)):
        raise TypeError(f"result is a {type(result).__name__}; give what quantize or quantize_many returned")
    kept = result._keep
    if isinstance(result, Result) and isinstance(kept, _KeptMany):
        raise ValueError("this is one of the results of quantize_many, whose bits are shared out together; give all of them, as "
                         "it returned them")
    if not isinstance(kept, (_Kept, _KeptMany)):
        raise ValueError("this result has no samples at hand, since it is of another process; quantize again")
    has_limit = max_drop is not None or max_loss is not None
    if (target_bits is not None) == has_limit:
        raise ValueError("give either target_bits or max_drop")
    if require_certificate and not has_limit:
        raise ValueError("require_certificate belongs to max_drop, since bits alone promise nothing; leave it out")

    def again(folder: Path, model: str) -> _core.QuantizeArguments:
        """What a result was made with, but for what is asked for now."""
        with library_errors():
            arguments = _core.arguments_of_result(folder)
        arguments.model, arguments.metric = model, kept.metric  # whatever the folder says
        arguments.target_bits = _bits(target_bits) if target_bits is not None else ""
        _set_limit(arguments, max_drop, drop_type, max_loss)
        return arguments

    target = Path(directory).absolute() if directory is not None else kept.folders.make()
    if isinstance(result, ManyResult):
        assert isinstance(kept, _KeptMany)
        many = [again(result.directory / name, model) for name, model in kept.models.items()]
        work = _core.allocate_many(result.directory, list(kept.models), many, list(kept.samples.values()), target, kept.threads,
                                   program())
        return _certified(_many_result(target, _watched(work, progress, kept.judge, kept), kept), require_certificate)
    assert isinstance(kept, _Kept)
    work = _core.allocate(result.directory, again(result.directory, kept.model), kept.data, target, kept.threads, program())
    return _certified(Result(target, _watched(work, progress, kept.judge, kept), kept), require_certificate)


def analyze(model: Any, calibration: Iterable[Any], *, transform: Transform | None = None, subset_size: int | None = None,
            only: Sequence[str] = (), ignored: Ignored = (), threads: int = 0,
            progress: bool | _watch.Progress = True) -> list[dict[str, Any]]:
    """Which distribution each weight and activation tensor follows.

    Args:
        model, calibration, transform, subset_size, only, ignored, threads, progress: as in `quantize`.

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
    folders = _Folders()
    arguments = _core.QuantizeArguments()
    arguments.only = patterns("only", only)
    ignore(arguments, "ignored", ignored)
    file, _, samples = _file_and_samples(model, calibration, transform, "calibration", subset_size, folders)
    arguments.model = str(file)
    work = _core.analyze(arguments, samples, whole("threads", threads, 0, 1 << 16))
    document = _watched(work, progress, keep=folders)
    tensors: list[dict[str, Any]] = document["tensors"]
    return tensors
