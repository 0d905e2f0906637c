"""Networks in the forms that Python programs hold them."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openvino

from dnateq import _core as _core_module
from dnateq import _watch
from dnateq._program import extension

_core: openvino.Core | None = None


def core() -> openvino.Core:
    """One Core with our operations for this process: models that it read need it as long as they live."""
    global _core
    _watch.use()
    if _core is None:
        _core = openvino.Core()
        _core.add_extension(str(extension()))
    return _core


def load(path: str | os.PathLike[str], *, exact: bool = False) -> openvino.Model:
    """Reads a network that dnateq has written, with the operations that it needs.

    Args:
        path: a result's folder, or a model's file in it.
        exact: of a folder: the `exact` model, whose activations have few bits too, instead of the one for speed.

    Returns:
        The model. Compile it as any other: `openvino.compile_model(model, "CPU")`.

    Raises:
        FileNotFoundError: there is no such file or folder, or no exact model in it.
        ValueError: it is no model, or a damaged one, or made for other CPUs (`target_isa`).

    Examples:
        >>> model = dnateq.load("resnet-quantized")  # doctest: +SKIP
    """
    file = folder = Path(path)
    if folder.is_dir():
        names = ["model.xml", "openvino_model.xml"]
        names.insert(0 if exact else 2, "exact/model.xml")
        file = next((folder / name for name in names if (folder / name).exists()), folder / "model.xml")
    if not file.exists():
        raise FileNotFoundError(f"there is no model '{file}'; give the folder of a result, or a model's file")
    try:
        model = core().read_model(file)
    except RuntimeError as error:
        raise ValueError(f"'{file}' cannot be read: {str(error).strip().splitlines()[-1]}") from error
    refusal = _core_module.refusal_of_target(_rt_info(model, "target_isa"))
    if refusal:
        raise ValueError(f"'{file}' {refusal}")
    if exact and folder.is_dir() and _emission(model) not in ("exact", "counting"):
        raise FileNotFoundError(f"'{folder}' has no exact model; quantize with emit=\"both\" or \"exact\"")
    return model


def _emission(model: openvino.Model) -> str:
    """What a model was written for: `standard`, `cpu`, `exact`; empty: it is none of ours."""
    return _rt_info(model, "emission")


def _rt_info(model: openvino.Model, key: str) -> str:
    where = ["dnateq", key]
    return str(model.get_rt_info(where).astype(str)) if model.has_rt_info(where) else ""


def compile_for_judging(file: Path, threads: int) -> openvino.CompiledModel:
    """In float32, as the library judges."""
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads > 0:
        settings["INFERENCE_NUM_THREADS"] = threads
    return core().compile_model(file, "CPU", settings)


def is_torch(model: Any) -> bool:
    """Whether it is a PyTorch module."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def _as_tensors(example: Any) -> Any:
    """A sample with its arrays as PyTorch's tensors."""
    torch = sys.modules["torch"]
    if isinstance(example, Mapping):
        return {name: torch.as_tensor(value) for name, value in example.items()}
    if isinstance(example, (tuple, list)):
        return tuple(torch.as_tensor(value) for value in example)
    return torch.as_tensor(example)


def file_of(model: Any, folder: Path, example: Any = None) -> Path:
    """The model as a file: itself, or written to `folder`. `example`: an input, for PyTorch's modules.

    Raises TypeError for what is no model, FileNotFoundError for a path without a file.
    """
    if isinstance(model, (str, os.PathLike)):
        path = Path(model)
        if not path.exists():
            raise FileNotFoundError(f"there is no model file '{path}'; check the path")
        return path.absolute()
    if is_torch(model):
        model = openvino.convert_model(model, example_input=None if example is None else _as_tensors(example))
    if isinstance(model, openvino.Model):
        folder.mkdir(parents=True, exist_ok=True)
        openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)
        return folder / "model.xml"
    if type(model).__module__.startswith("onnx") and hasattr(model, "SerializeToString"):
        import onnx
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(model, str(folder / "model.onnx"), save_as_external_data=model.ByteSize() > 1 << 30)
        return folder / "model.onnx"
    raise TypeError(f"model is a {type(model).__name__}; give a path, an openvino.Model, an onnx.ModelProto or a "
                    "torch.nn.Module")
