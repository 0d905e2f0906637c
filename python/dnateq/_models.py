"""Networks in the forms that Python programs hold them."""

import os
import sys
from pathlib import Path
from typing import Any

import openvino

from dnateq._program import extension

_core: openvino.Core | None = None


def core() -> openvino.Core:
    """One Core with our operations for this process: models that it read need it as long as they live."""
    global _core
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
        FileNotFoundError: there is no such file or folder.
        ValueError: it is no model, or a damaged one.

    Examples:
        >>> model = dnateq.load("resnet-quantized")  # doctest: +SKIP
    """
    file = Path(path)
    if file.is_dir():
        file = file / "exact" / "model.xml" if exact and (file / "exact" / "model.xml").exists() else file / "model.xml"
        if not file.exists() and (file.parent / "openvino_model.xml").exists():
            file = file.parent / "openvino_model.xml"
    if not file.exists():
        raise FileNotFoundError(f"there is no model '{file}'; give the folder of a result, or a model's file")
    try:
        return core().read_model(file)
    except RuntimeError as error:
        raise ValueError(f"'{file}' cannot be read: {str(error).strip().splitlines()[-1]}") from error


def compile_for_judging(file: Path, threads: int) -> openvino.CompiledModel:
    """In float32, as the library judges."""
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads > 0:
        settings["INFERENCE_NUM_THREADS"] = threads
    return core().compile_model(file, "CPU", settings)


def file_of(model: Any, folder: Path, example: Any = None) -> Path:
    """The model as a file: itself, or written to `folder`. `example`: an input, for PyTorch's modules.

    Raises TypeError for what is no model, FileNotFoundError for a path without a file.
    """
    if isinstance(model, (str, os.PathLike)):
        path = Path(model)
        if not path.exists():
            raise FileNotFoundError(f"there is no model file '{path}'; check the path")
        return path
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        model = openvino.convert_model(model, example_input=example)
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
