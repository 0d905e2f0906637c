"""What a quantization gives: a folder of models, recipe and report, and a look at it in a notebook."""

import filecmp
import html
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, final

import openvino

from dnateq import _core
from dnateq._checks import library_errors
from dnateq._files import staging
from dnateq._models import load
from dnateq._recipe import Recipe

# Weights of other frameworks, in a Hugging Face folder: the quantized ones stand in their place.
_WEIGHTS = (".bin", ".ckpt", ".h5", ".index.json", ".msgpack", ".onnx", ".onnx_data", ".pt", ".pth", ".safetensors", ".xml")


_TOKENIZERS = ("openvino_tokenizer.", "openvino_detokenizer.")  # networks of another kind, which stay


def _holds_recipe(folder: Path) -> bool:
    try:
        Recipe.load(folder)
    except (FileNotFoundError, ValueError):
        return False
    return True


def _same_content(one: Path, other: Path) -> bool:
    return other.is_file() and filecmp.cmp(one, other, shallow=False)


class Result:
    """A quantized network.

    Attributes:
        directory: the folder of models, recipe, report and measurements. Where none was named in `quantize`, it goes with
            this object; `save` keeps it.
        summary: bits, metric, bytes and seconds, as `dnateq quantize --json` prints them.
    """

    def __init__(self, directory: Path, summary: dict[str, Any], keep: Any = None) -> None:
        self.directory = directory.absolute()
        self.summary = summary
        self._keep = keep  # what must live as long as the result: its temporary folder, samples for allocate()
        self._model: openvino.Model | None = None

    @property
    def model(self) -> openvino.Model:
        """The network for speed (`emit="cpu"` or `"standard"`); where only `exact` was asked for, that."""
        if self._model is None:
            self._model = load(self.directory)
        return self._model

    @property
    def exact_model(self) -> openvino.Model:
        """The network whose activations have the recipe's few bits. Raises ValueError if `emit` did not ask for it."""
        self._exact_folder()
        return load(self.directory, exact=True)

    def _exact_folder(self) -> Path:
        if (self.directory / "exact" / "model.xml").exists():
            return self.directory / "exact"
        if self._has_exact_alone() and (self.directory / "model.xml").exists():
            return self.directory
        raise ValueError('this result has no exact model; quantize with emit="both" or "exact"')

    def _has_exact_alone(self) -> bool:
        data = self.recipe.data
        emissions = data.get("emissions")
        if emissions:
            return [one["emission"] for one in emissions] == ["exact"]
        metric = data.get("metric") or {}  # older recipes
        return metric.get("exact") is not None and metric.get("quantized") is None

    @property
    def recipe(self) -> Recipe:
        """What was decided for every layer."""
        return Recipe.load(self.directory)

    @property
    def metric(self) -> dict[str, Any]:
        """`name`, and its values of the FP32 network (`reference`), the main model (`quantized`), the exact one (`exact`)."""
        metric: dict[str, Any] = self.summary["metric"]
        return metric

    @property
    def certified(self) -> bool:
        """Whether every emission's loss on unseen data is within `max_drop` at 95 %; False where no limit was asked for."""
        return bool(self.summary["certified"])

    @property
    def verdict(self) -> str:
        """A sentence on how sure the loss limit is, and how many samples would certify it; empty where there was no limit."""
        return str(self.summary["verdict"])

    @property
    def emissions(self) -> list[dict[str, Any]]:
        """One row an emission that was written, which `pandas.DataFrame` takes as it is.

        Columns: emission, score, loss, interval (95 %, paired), upper_bound (of the loss on unseen data, one-sided 95 %),
        bound_method, certified, samples, samples_needed, bytes.
        """
        rows: list[dict[str, Any]] = self.summary["emissions"]
        return rows

    @property
    def layers(self) -> list[dict[str, Any]]:
        """One row a quantized layer, which `pandas.DataFrame` takes as it is.

        Columns: layer, type, weights (values), weight_bits, activation_bits (None: FP32), weight_sqnr_db, output_sqnr_db,
        distribution, bytes, macs (at batch 1).
        """
        rows = []
        for layer in self.recipe.layers:
            weights, activations = layer["weights"], layer.get("activations")
            rows.append({
                "layer": layer["name"],
                "type": layer["type"],
                "weights": weights["elements"],
                "weight_bits": weights["code"]["stored_bits"],
                "activation_bits": activations["code"]["stored_bits"] if activations else None,
                "weight_sqnr_db": weights["sqnr_db"],
                "output_sqnr_db": layer["output_sqnr_db"],
                "distribution": weights["distribution"],
                "bytes": weights["bytes"],
                "macs": layer["macs"],
            })
        return rows

    @property
    def curve(self) -> list[tuple[float, float]]:
        """(mean bits a tensor, predicted divergence of the output) of every allocation, from few bits to many."""
        with library_errors():
            return _core.bits_loss_curve(self.directory)

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Copies the result to a folder, which `load`, `Recipe.load` and the program take.

        A former result there is replaced, once the new one is whole; other files stay.

        Raises:
            FileExistsError: a file stands in the folder's place, or what would be replaced there is not of a result.
            FileNotFoundError: the result's own folder is gone.
            ValueError: a run was stopped in that folder or works there, or it cannot be written.
        """
        target = Path(directory)
        if target.exists() and not target.is_dir():
            raise FileExistsError(f"'{target}' is a file, and a result is a folder; choose another name")
        if not (self.directory / "recipe.dnateq.json").exists():
            raise FileNotFoundError(f"the result's own folder '{self.directory}' is gone")
        if target.exists() and target.samefile(self.directory):
            return target
        with library_errors():
            refusal = _core.refusal_of_folder(target)
            if refusal:
                raise FileExistsError(refusal)
            _core.save_result(self.directory, target.absolute())
        return target

    def save_pretrained(self, directory: str | os.PathLike[str], source: str | os.PathLike[str] | None = None, *,
                        exact: bool = False) -> Path:
        """Writes a folder that Hugging Face's optimum-intel reads: `openvino_model.xml` and `.bin`, and the recipe.

        A network with our operations (all but `emit="standard"`) also needs the extension there: docs, Hugging Face.

        Args:
            directory: where to write.
            source: the original network's folder; its files except weights (configuration, tokenizer) are copied.
            exact: the exact model instead of the one for speed.

        Returns:
            The folder.

        Raises:
            FileExistsError: a file stands in the folder's place, or one in it that we did not write would be replaced.
            FileNotFoundError: `source` is no folder.
            ValueError: there is no exact model.

        Examples:
            >>> result.save_pretrained("bert-quantized", source="bert")  # doctest: +SKIP
        """
        target = Path(directory)
        if target.exists() and not target.is_dir():
            raise FileExistsError(f"'{target}' is a file, and a model is a folder; choose another name")
        if source is not None and not Path(source).is_dir():
            raise FileNotFoundError(f"there is no folder '{source}' to copy configuration and tokenizer from")
        models = self._exact_folder() if exact else self.directory
        target.mkdir(parents=True, exist_ok=True)
        others = [] if source is None else [file for file in Path(source).iterdir()
                                            if file.is_file() and (not file.name.endswith(_WEIGHTS) or file.name.startswith(_TOKENIZERS))]
        copies = [(file, file.name) for file in others]
        copies += [(self.directory / "recipe.dnateq.json", "recipe.dnateq.json"), (models / "model.bin", "openvino_model.bin"),
                   (models / "model.xml", "openvino_model.xml")]
        copies = [(file, name) for file, name in copies if not _same_content(file, target / name)]
        if not _holds_recipe(target):
            for _, name in copies:
                if os.path.lexists(target / name):
                    raise FileExistsError(f"'{target / name}' was not written by dnateq, and is not replaced; choose another directory")
        with staging(target) as stage:
            for file, name in copies:  # all of them, before anything that is there changes
                shutil.copyfile(file, stage / name)
            for _, name in copies:
                (stage / name).replace(target / name)
        return target

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Writes the report, one HTML file that needs no other."""
        with library_errors():
            _core.write_report(self.directory, Path(path))
        return Path(path)

    def plot_tensor(self, layer: str, kind: str = "weights", ax: Any = None) -> Any:
        """Levels of a code over the histogram of the values that it stands for.

        Args:
            layer: name of a quantized layer.
            kind: `weights` (divided by their channel's scale) or `activations`.
            ax: a matplotlib Axes (default: a new one).

        Returns:
            The Axes.

        Raises:
            ValueError: there is no such layer, or its activations stay in FP32.
            ImportError: matplotlib is not installed.
        """
        if kind not in ("weights", "activations"):
            raise ValueError(f"kind is '{kind}'; give 'weights' or 'activations'")
        with library_errors():
            tensor = _core.tensor(self.directory, layer, kind == "weights")
        if ax is None:
            try:
                from matplotlib import pyplot
            except ImportError as error:
                raise ImportError("plot_tensor draws with matplotlib; pip install matplotlib") from error
            ax = pyplot.subplots(figsize=(8, 3))[1]
        import numpy as np
        low, high, levels = tensor["low"], tensor["high"], tensor["levels"]
        edges = np.linspace(low.min(), high.max(), 161)
        count = np.histogram((low + high) / 2, bins=edges, weights=tensor["count"].astype(float))[0]
        ax.stairs(count, edges, fill=True, alpha=0.5)
        ax.vlines(levels, 0, max(count.max(), 1.0), linewidth=0.8, color="black", alpha=0.6)
        ax.set(title=f"{layer}: {kind}, {len(levels)} levels", xlabel="value", ylabel="values", yscale="symlog")
        return ax

    def __repr__(self) -> str:
        weights, activations = self.summary["weights"]["stored_bits"], self.summary["activations"]["stored_bits"]
        return f"<dnateq.Result {weights:.2f}/{activations:.2f} bits, {self.summary['bytes']['file']} bytes, {self.directory}>"

    def _repr_html_(self) -> str:
        """Summary and bits-against-loss curve, for notebooks."""
        def number(value: Any, form: str = ".4f") -> str:
            return "not measured" if value is None else format(value, form)

        metric, size = self.metric, self.summary["bytes"]
        rows = [("weights", f"{self.summary['weights']['stored_bits']:.3f} bits a value"),
                ("activations", f"{self.summary['activations']['stored_bits']:.3f} bits a value in the exact model"),
                *((f"{one['emission']} on disk", f"{number(one['bits_on_disk'], '.3f')} bits for each parameter of the network")
                  for one in self.summary["emissions"]),
                ("file", f"{size['file'] / 1e6:.2f} MB; FP32 {size['fp32'] / 1e6:.2f} MB, INT8 "
                 f"{size['int8'] / 1e6:.2f} MB{' (estimate)' if size['int8_is_estimate'] else ''}"),
                (metric["name"], f"FP32 {number(metric['reference'])}, quantized {number(metric['quantized'])}, "
                 f"exact {number(metric['exact'])}"),
                ("time", f"{self.summary['seconds']:.1f} s")]
        table = "".join(f"<tr><th style='text-align:left'>{html.escape(name)}</th><td style='text-align:left'>"
                        f"{html.escape(text)}</td></tr>" for name, text in rows)
        return f"<div><table>{table}</table>{_curve_svg(self.curve, self._tensor_mean())}</div>"

    def _tensor_mean(self) -> float:
        mean: float = self.summary["all"]["tensor_mean_bits"]
        return mean


class NotCertified(RuntimeError):
    """The samples cannot show that the loss is within the limit, and `require_certificate` asked for that.

    Attributes:
        result: what was quantized, whole: the best estimate. `result.verdict` says why, and how many samples would do.
    """

    def __init__(self, message: str, result: "Result | ManyResult") -> None:
        super().__init__(message)
        self.result = result


@final
class ManyResult(Mapping[str, Result]):
    """Results of networks that were quantized together, by name.

    Attributes:
        directory: the folder of the results' folders.
    """

    def __init__(self, directory: Path, results: dict[str, Result], keep: Any = None) -> None:
        self.directory = directory.absolute()
        self._results = results
        self._keep = keep  # as Result's

    def __getitem__(self, name: str) -> Result:
        return self._results[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    @property
    def metric(self) -> dict[str, Any]:
        """The common metric, as `Result.metric`."""
        return next(iter(self._results.values())).metric

    @property
    def certified(self) -> bool:
        """As `Result.certified`, of the networks together."""
        return next(iter(self._results.values())).certified

    @property
    def verdict(self) -> str:
        """As `Result.verdict`, of the networks together."""
        return next(iter(self._results.values())).verdict

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Copies each result to the folder of its name in `directory`. Raises as `Result.save`."""
        for name, result in self._results.items():
            result.save(Path(directory) / name)
        return Path(directory)

    def __repr__(self) -> str:
        return f"<dnateq.ManyResult {dict(self._results)!r}>"

    def _repr_html_(self) -> str:
        return "".join(f"<h4>{html.escape(name)}</h4>{result._repr_html_()}" for name, result in self._results.items())


def _curve_svg(curve: list[tuple[float, float]], chosen: float) -> str:
    """Predicted divergence (logarithmic) over mean bits a tensor; a dot where the result lies."""
    import math
    points = [(bits, math.log10(max(loss, 1e-12))) for bits, loss in curve]
    if len(points) < 2:
        return ""
    left, right = points[0][0], points[-1][0]
    low, high = min(y for _, y in points), max(y for _, y in points)
    width, height, margin = 420, 180, 36

    def at(bits: float, loss: float) -> tuple[float, float]:
        return (margin + (bits - left) / max(right - left, 1e-9) * (width - 2 * margin),
                margin / 2 + (high - loss) / max(high - low, 1e-9) * (height - 1.5 * margin))

    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
    dot_x, dot_y = at(*min(points, key=lambda point: abs(point[0] - chosen)))
    labels = (f"<text x='{margin}' y='{height - 6}'>{left:.1f}</text><text x='{width - margin}' y='{height - 6}' "
              f"text-anchor='end'>{right:.1f} bits a tensor</text><text x='4' y='12'>predicted divergence, "
              f"{10**low:.1g} to {10**high:.1g}</text>")
    return (f"<svg width='{width}' height='{height}' font-size='11' fill='currentColor'><polyline points='{line}' fill='none' "
            f"stroke='currentColor'/><circle cx='{dot_x:.1f}' cy='{dot_y:.1f}' r='4'/>{labels}</svg>")
