"""The program dnateq, which lies in this package, and the jobs that are best done by a process of their own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openvino

_HERE = Path(__file__).parent


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


def run(arguments: Sequence[str]) -> Any:
    """Runs the program to its end and parses the JSON that it prints. Raises ValueError with its sentence."""
    finished = subprocess.run([program(), *arguments, "--json"], env=environment(), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
    if finished.returncode != 0:
        lines = [line for line in finished.stderr.splitlines() if line.strip()]
        sentence = lines[-1].removeprefix("dnateq: ") if lines else f"the program stopped with {finished.returncode}"
        raise ValueError(sentence)
    return json.loads(finished.stdout)


def _folder_of(result: Any) -> str:
    return str(os.fspath(getattr(result, "directory", result)))


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
        ValueError: what the program says.

    Examples:
        >>> dnateq.bench("resnet.onnx", [result], seconds=5)["results"]  # doctest: +SKIP
    """
    arguments = ["bench", os.fspath(model), "--batch", str(batch), "--threads", str(threads), "--seconds", str(seconds)]
    for result in results:
        arguments += ["--result", _folder_of(result)]
    arguments += ["--peers"] if peers else []
    arguments += ["--layers"] if layers else []
    arguments += ["--calibration", os.fspath(calibration)] if calibration is not None else []
    for name, shape in (shapes or {}).items():
        arguments += ["--shape", f"{name}={','.join(map(str, shape))}"]
    return run(arguments)


def simulate(network: Any, *, designs: Sequence[str] = (), bits: str | None = None,
             bits_are: str | None = None, batch: int = 1, settings: Mapping[str, float] | None = None,
             config: str | os.PathLike[str] | None = None, calibration: str | os.PathLike[str] | None = None,
             directory: str | os.PathLike[str] | None = None, model: str | os.PathLike[str] | None = None) -> Any:
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

    Returns:
        The document of `dnateq simulate --json`: `{"designs": [{"design", "cycles", "total_energy_pj", ...}]}`; energy in
        picojoules, area in square micrometres.

    Raises:
        ValueError: what the program says.

    Examples:
        >>> dnateq.simulate("resnet50", bits="3")["designs"][0]["design"]
        'int8'
    """
    arguments = ["simulate", _folder_of(network), "--batch", str(batch)]
    for design in designs:
        arguments += ["--design", design]
    model = model if model is not None else getattr(getattr(network, "_keep", None), "model", None)
    arguments += ["--model", os.fspath(model)] if model is not None else []
    arguments += ["--bits", bits] if bits is not None else []
    arguments += ["--bits-are", bits_are] if bits_are is not None else []
    for key, value in (settings or {}).items():
        arguments += ["--set", f"{key}={value:.17g}"]
    arguments += ["--config", os.fspath(config)] if config is not None else []
    arguments += ["--calibration", os.fspath(calibration)] if calibration is not None else []
    if directory is not None:
        return run([*arguments, "-o", os.fspath(directory)])
    with tempfile.TemporaryDirectory(prefix="dnateq-") as folder:
        return run([*arguments, "-o", folder])
