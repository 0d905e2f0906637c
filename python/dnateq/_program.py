"""The program dnateq, which lies in this package, and the jobs that time and simulate what the others made."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openvino

from dnateq import _core, _watch
from dnateq._checks import library_errors, real, text, whole

_HERE = Path(__file__).parent
_LISTS = ("alexnet", "resnet50", "transformer")
_LONGEST = 86400


def program() -> Path:
    """The executable."""
    return _HERE / "bin" / "dnateq"


def extension() -> Path:
    """Path of OpenVINO's extension with our operations, for a `Core` that is not ours.

    Returns:
        The path of `libdnateq_openvino.so`. `load` needs no such call.

    Examples:
        >>> core = openvino.Core()
        >>> core.add_extension(dnateq.extension())
    """
    return _HERE / "lib" / "libdnateq_openvino.so"


def environment() -> dict[str, str]:
    """This process's environment, in which the program finds the Python that runs, and its OpenVINO."""
    libraries = str(Path(openvino.__file__).parent / "libs")
    before = os.environ.get("LD_LIBRARY_PATH")
    return {**os.environ, "DNATEQ_PYTHON": sys.executable, "LD_LIBRARY_PATH": f"{libraries}:{before}" if before else libraries}


def _folder_of(result: Any) -> str:
    return str(os.fspath(getattr(result, "directory", result)))


def _shapes(shapes: Mapping[str, Sequence[int]] | None) -> list[str]:
    return [f"{name}={','.join(map(str, shape))}" for name, shape in (shapes or {}).items()]


def bench(model: str | os.PathLike[str], results: Sequence[Any] = (), *, peers: bool = False,
          calibration: str | os.PathLike[str] | None = None, shapes: Mapping[str, Sequence[int]] | None = None,
          batch: int = 1, threads: int = 1, seconds: float = 20.0, layers: bool = False) -> Any:
    """Times FP32, our results and, on demand, others' forms of one network, interleaved in one process.

    Args:
        model: the FP32 network's file.
        results: results of `quantize`, or their folders.
        peers: also OpenVINO's and ONNX Runtime's INT8 and 4-bit forms. Their tools are installed when first asked for.
        calibration: `.npz`, `.npy` or a folder of `.npz`; its first call is what is timed (default: random inputs).
        shapes: shape of each input by name; inputs are random then.
        batch: first axis of every input.
        threads: of each network.
        seconds: time to measure, all networks together.
        layers: also the times of each layer.

    Returns:
        The document of `dnateq bench --json`: medians in milliseconds and ratios.

    Raises:
        ValueError: a file or a number is not what it should be.

    Examples:
        >>> dnateq.bench("resnet.onnx", [result], seconds=5)["results"]  # doctest: +SKIP
    """
    _watch.use()
    options = _core.BenchOptions()
    options.model, options.results = os.fspath(model), [_folder_of(result) for result in results]
    options.calibration = os.fspath(calibration) if calibration is not None else ""
    options.shapes = _shapes(shapes)
    options.batch, options.threads = whole("batch", batch, 1, 1 << 20), whole("threads", threads, 1, 1024)
    options.seconds = real("seconds", seconds)
    if not 0 <= options.seconds <= _LONGEST:
        raise ValueError(f"seconds is {seconds}; it must lie between 0 and {_LONGEST}")
    options.peers, options.layers, options.quiet = bool(peers), bool(layers), True
    with library_errors():
        return _watch.run(_core.bench(options, program(), Path(sys.executable)), False)


def simulate(network: Any, *, designs: Sequence[str] = (), bits: str | None = None,
             bits_are: str | None = None, batch: int = 1, settings: Mapping[str, float] | None = None,
             config: str | os.PathLike[str] | None = None, calibration: str | os.PathLike[str] | None = None,
             directory: str | os.PathLike[str] | None = None, model: str | os.PathLike[str] | None = None,
             shapes: Mapping[str, Sequence[int]] | None = None) -> Any:
    """Cycles, bytes, energy and area of a network on accelerators in 3D-stacked memory, beside an INT8 one.

    Args:
        network: a result of `quantize` or its folder, a recipe's or model's file, or `alexnet`, `resnet50`, `transformer`.
        designs: of `counting`, `counting-beta0`, `shift`, `decode` (default: all that are possible). Of each, `codes` in the
            result says whether its figures are of the network's own codes.
        bits: stored bits a value, `"4"` or `"4/5"` for weights/activations, where no recipe tells them.
        bits_are: of the three lists: what their mean bits count, `stored` (default) or `exponent`, to which a sign is added.
        batch: first axis of every input.
        settings: numbers of the machine by key, such as `{"memory.access_pj_per_bit": 4}`.
        config: a machine's TOML file (default: the built-in one).
        calibration: a model's inputs, to measure zeros and exponents of its activations on.
        directory: where to leave `result.json`, `layers.csv` and `report.html`.
        model: the FP32 network's file, of a result's folder or a recipe; a result of `quantize` in this process has it at hand.
        shapes: shape of each input of a model by name, where it leaves them open; `NAME*` stands for all whose names begin so.

    Returns:
        The document of `dnateq simulate --json`: `{"designs": [{"design", "cycles", "total_energy_pj", ...}]}`; energy in
        picojoules, area in square micrometres.

    Raises:
        ValueError: a file, a name or a number is not what it should be.

    Examples:
        >>> dnateq.simulate("resnet50", bits="3")["designs"][0]["design"]
        'int8'
    """
    options = _core.SimulateOptions()
    options.network, options.batch = _folder_of(network), whole("batch", batch, 1, 1 << 20)
    options.designs = [text("a design", design) for design in designs]
    model = model if model is not None else getattr(getattr(network, "_keep", None), "model", None)
    options.model = os.fspath(model) if model is not None else ""
    options.bits = text("bits", bits) if bits is not None else ""
    if bits_are not in (None, "stored", "exponent"):
        raise ValueError(f"bits_are is '{bits_are}'; give stored or exponent")
    options.bits_are = bits_are or ""
    options.settings = [f"{key}={real(f'settings[{key!r}]', value):.17g}" for key, value in (settings or {}).items()]
    options.shapes = _shapes(shapes)
    options.config = os.fspath(config) if config is not None else ""
    options.calibration = os.fspath(calibration) if calibration is not None else ""
    options.directory = os.fspath(directory) if directory is not None else ""
    options.threads = 0
    if options.network not in _LISTS:  # those need no OpenVINO
        _watch.use()
    with library_errors():
        return _watch.run(_core.simulate(options), False)
