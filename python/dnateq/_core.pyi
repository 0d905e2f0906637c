"""
The C++ library of dnateq. Use the package dnateq instead: this module's functions change freely.
"""

from collections.abc import Sequence
import enum
import os
import pathlib
from typing import Annotated

from numpy.typing import NDArray


class Error(ValueError):
    pass

class Cancelled(RuntimeError):
    pass

class Spool:
    """Samples kept in a file without a name."""

    def __init__(self, folder: str | os.PathLike, source: str, inputs: Sequence[str]) -> None: ...

    def add(self, arrays: Sequence[Annotated[NDArray, dict(order='C', device='cpu', writable=False)]]) -> None:
        """Appends one call: an array for each input."""

    def __len__(self) -> int: ...

class QuantizeArguments:
    """What a quantization is told."""

    def __init__(self) -> None: ...

    @property
    def model(self) -> str: ...

    @model.setter
    def model(self, arg: str, /) -> None: ...

    @property
    def metric(self) -> str: ...

    @metric.setter
    def metric(self, arg: str, /) -> None: ...

    @property
    def metric_range(self) -> str: ...

    @metric_range.setter
    def metric_range(self, arg: str, /) -> None: ...

    @property
    def max_drop(self) -> str: ...

    @max_drop.setter
    def max_drop(self, arg: str, /) -> None: ...

    @property
    def drop_type(self) -> str: ...

    @drop_type.setter
    def drop_type(self, arg: str, /) -> None: ...

    @property
    def max_loss(self) -> str: ...

    @max_loss.setter
    def max_loss(self, arg: str, /) -> None: ...

    @property
    def require_certificate(self) -> bool: ...

    @require_certificate.setter
    def require_certificate(self, arg: bool, /) -> None: ...

    @property
    def target_bits(self) -> str: ...

    @target_bits.setter
    def target_bits(self, arg: str, /) -> None: ...

    @property
    def target_size(self) -> str: ...

    @target_size.setter
    def target_size(self, arg: str, /) -> None: ...

    @property
    def no_rotation(self) -> bool: ...

    @no_rotation.setter
    def no_rotation(self, arg: bool, /) -> None: ...

    @property
    def validation(self) -> str: ...

    @validation.setter
    def validation(self, arg: str, /) -> None: ...

    @property
    def text(self) -> str: ...

    @text.setter
    def text(self, arg: str, /) -> None: ...

    @property
    def context(self) -> int: ...

    @context.setter
    def context(self, arg: int, /) -> None: ...

    @property
    def windows(self) -> int: ...

    @windows.setter
    def windows(self, arg: int, /) -> None: ...

    @property
    def weight_bits(self) -> int: ...

    @weight_bits.setter
    def weight_bits(self, arg: int, /) -> None: ...

    @property
    def activation_bits(self) -> int: ...

    @activation_bits.setter
    def activation_bits(self, arg: int, /) -> None: ...

    @property
    def thr_weights(self) -> str: ...

    @thr_weights.setter
    def thr_weights(self, arg: str, /) -> None: ...

    @property
    def thr_activations(self) -> str: ...

    @thr_activations.setter
    def thr_activations(self, arg: str, /) -> None: ...

    @property
    def thr_plans(self) -> int: ...

    @thr_plans.setter
    def thr_plans(self, arg: int, /) -> None: ...

    @property
    def strategy(self) -> str: ...

    @strategy.setter
    def strategy(self, arg: str, /) -> None: ...

    @property
    def family(self) -> str: ...

    @family.setter
    def family(self, arg: str, /) -> None: ...

    @property
    def emit(self) -> str: ...

    @emit.setter
    def emit(self, arg: str, /) -> None: ...

    @property
    def expect_rows(self) -> int: ...

    @expect_rows.setter
    def expect_rows(self, arg: int, /) -> None: ...

    @property
    def weights_only(self) -> bool: ...

    @weights_only.setter
    def weights_only(self, arg: bool, /) -> None: ...

    @property
    def target_isa(self) -> str: ...

    @target_isa.setter
    def target_isa(self, arg: str, /) -> None: ...

    @property
    def only(self) -> list[str]: ...

    @only.setter
    def only(self, arg: Sequence[str], /) -> None: ...

    @property
    def ignore(self) -> list[str]: ...

    @ignore.setter
    def ignore(self, arg: Sequence[str], /) -> None: ...

    @property
    def ignore_names(self) -> list[str]: ...

    @ignore_names.setter
    def ignore_names(self, arg: Sequence[str], /) -> None: ...

    @property
    def ignore_types(self) -> list[str]: ...

    @ignore_types.setter
    def ignore_types(self, arg: Sequence[str], /) -> None: ...

    @property
    def ignore_may_miss(self) -> bool: ...

    @ignore_may_miss.setter
    def ignore_may_miss(self, arg: bool, /) -> None: ...

    @property
    def untie(self) -> list[str]: ...

    @untie.setter
    def untie(self, arg: Sequence[str], /) -> None: ...

    @property
    def output(self) -> str: ...

    @output.setter
    def output(self, arg: str, /) -> None: ...

    @property
    def budget(self) -> str: ...

    @budget.setter
    def budget(self, arg: str, /) -> None: ...

    @property
    def int8(self) -> str: ...

    @int8.setter
    def int8(self, arg: str, /) -> None: ...

    @property
    def batch_axis(self) -> int: ...

    @batch_axis.setter
    def batch_axis(self, arg: int, /) -> None: ...

    @property
    def seed(self) -> int: ...

    @seed.setter
    def seed(self, arg: int, /) -> None: ...

    @property
    def resume(self) -> bool: ...

    @resume.setter
    def resume(self, arg: bool, /) -> None: ...

def arguments_of_result(folder: str | os.PathLike) -> QuantizeArguments:
    """The arguments that a result was made with."""

class Data:
    """Samples to work on."""

    def __init__(self, calibration: Spool, validation: Spool | None, labels: Sequence[int]) -> None: ...

class Work:
    """Long work on a thread of its own."""

    class News(enum.Enum):
        NONE = 0

        QUESTION = 1

        FINISHED = 2

    def wait(self, seconds: float) -> Work.News:
        """
        Returns at a question, at the end, or after `seconds`; raises what the work threw.
        """

    def take_steps(self) -> list[tuple[str, int, int]]:
        """(stage, done, total) of each stage since the last call."""

    def question(self) -> list[pathlib.Path]:
        """Model files to judge."""

    def answer(self, score: float, per_sample: Sequence[float]) -> None:
        """Of the model files: a number, and one a sample or none."""

    def result(self) -> str:
        """JSON document, once finished."""

    def stop(self) -> None: ...

def quantize(arguments: QuantizeArguments, data: Data, directory: str | os.PathLike, threads: int, program: str | os.PathLike) -> Work: ...

def quantize_text(arguments: QuantizeArguments, directory: str | os.PathLike, threads: int, program: str | os.PathLike) -> Work:
    """Of the files that the arguments name."""

def quantize_many(names: Sequence[str], arguments: Sequence[QuantizeArguments], samples: Sequence[Spool], directory: str | os.PathLike, threads: int, program: str | os.PathLike) -> Work: ...

def allocate(source: str | os.PathLike, arguments: QuantizeArguments, data: Data, directory: str | os.PathLike, threads: int, program: str | os.PathLike) -> Work: ...

def allocate_many(source: str | os.PathLike, names: Sequence[str], arguments: Sequence[QuantizeArguments], samples: Sequence[Spool], directory: str | os.PathLike, threads: int, program: str | os.PathLike) -> Work: ...

def analyze(arguments: QuantizeArguments, calibration: Spool, threads: int) -> Work:
    """Of the arguments, the model and its layers count."""

class EvaluateLanguageOptions:
    """What is judged on a text."""

    def __init__(self) -> None: ...

    @property
    def model(self) -> str: ...

    @model.setter
    def model(self, arg: str, /) -> None: ...

    @property
    def reference(self) -> str: ...

    @reference.setter
    def reference(self, arg: str, /) -> None: ...

    @property
    def text(self) -> str: ...

    @text.setter
    def text(self, arg: str, /) -> None: ...

    @property
    def context(self) -> int: ...

    @context.setter
    def context(self, arg: int, /) -> None: ...

    @property
    def windows(self) -> int: ...

    @windows.setter
    def windows(self, arg: int, /) -> None: ...

    @property
    def threads(self) -> int: ...

    @threads.setter
    def threads(self, arg: int, /) -> None: ...

def evaluate_text(options: EvaluateLanguageOptions) -> Work: ...

class SimulateOptions:
    """What is simulated."""

    def __init__(self) -> None: ...

    @property
    def network(self) -> str: ...

    @network.setter
    def network(self, arg: str, /) -> None: ...

    @property
    def model(self) -> str: ...

    @model.setter
    def model(self, arg: str, /) -> None: ...

    @property
    def config(self) -> str: ...

    @config.setter
    def config(self, arg: str, /) -> None: ...

    @property
    def bits(self) -> str: ...

    @bits.setter
    def bits(self, arg: str, /) -> None: ...

    @property
    def bits_are(self) -> str: ...

    @bits_are.setter
    def bits_are(self, arg: str, /) -> None: ...

    @property
    def directory(self) -> str: ...

    @directory.setter
    def directory(self, arg: str, /) -> None: ...

    @property
    def designs(self) -> list[str]: ...

    @designs.setter
    def designs(self, arg: Sequence[str], /) -> None: ...

    @property
    def settings(self) -> list[str]: ...

    @settings.setter
    def settings(self, arg: Sequence[str], /) -> None: ...

    @property
    def shapes(self) -> list[str]: ...

    @shapes.setter
    def shapes(self, arg: Sequence[str], /) -> None: ...

    @property
    def calibration(self) -> str: ...

    @calibration.setter
    def calibration(self, arg: str, /) -> None: ...

    @property
    def batch(self) -> int: ...

    @batch.setter
    def batch(self, arg: int, /) -> None: ...

    @property
    def threads(self) -> int: ...

    @threads.setter
    def threads(self, arg: int, /) -> None: ...

def simulate(options: SimulateOptions) -> Work: ...

class BenchOptions:
    """What is timed."""

    def __init__(self) -> None: ...

    @property
    def model(self) -> str: ...

    @model.setter
    def model(self, arg: str, /) -> None: ...

    @property
    def calibration(self) -> str: ...

    @calibration.setter
    def calibration(self, arg: str, /) -> None: ...

    @property
    def results(self) -> list[str]: ...

    @results.setter
    def results(self, arg: Sequence[str], /) -> None: ...

    @property
    def shapes(self) -> list[str]: ...

    @shapes.setter
    def shapes(self, arg: Sequence[str], /) -> None: ...

    @property
    def threads(self) -> int: ...

    @threads.setter
    def threads(self, arg: int, /) -> None: ...

    @property
    def batch(self) -> int: ...

    @batch.setter
    def batch(self, arg: int, /) -> None: ...

    @property
    def seconds(self) -> float: ...

    @seconds.setter
    def seconds(self, arg: float, /) -> None: ...

    @property
    def peers(self) -> bool: ...

    @peers.setter
    def peers(self, arg: bool, /) -> None: ...

    @property
    def layers(self) -> bool: ...

    @layers.setter
    def layers(self, arg: bool, /) -> None: ...

    @property
    def quiet(self) -> bool: ...

    @quiet.setter
    def quiet(self, arg: bool, /) -> None: ...

def bench(options: BenchOptions, program: str | os.PathLike, python: str | os.PathLike) -> Work: ...

def refusal_of_target(target_isa: str) -> str:
    """Why a model for that target is refused on this CPU; empty: it is not."""

def input_names(model: str | os.PathLike) -> list[str]:
    """Names of a model file's inputs."""

def tensor(folder: str | os.PathLike, layer: str, is_weights: bool) -> dict:
    """Histogram and levels of one tensor."""

def write_report(folder: str | os.PathLike, file: str | os.PathLike) -> None: ...

def refusal_of_folder(folder: str | os.PathLike) -> str:
    """Why no result can be written there; empty: it can."""

def save_result(source: str | os.PathLike, folder: str | os.PathLike) -> None: ...

def bits_loss_curve(folder: str | os.PathLike) -> list[tuple[float, float]]: ...
