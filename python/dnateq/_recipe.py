"""The recipe: what was decided for every layer, and why."""

import json
import os
from pathlib import Path
from typing import Any

from dnateq._files import staging


class Recipe:
    """What `recipe.dnateq.json` holds: codes, errors and bytes of every layer, the search's steps, the metric.

    Attributes:
        data: the whole document, as parsed JSON (docs: file formats).

    Examples:
        >>> recipe = dnateq.Recipe.load("resnet-quantized")  # doctest: +SKIP
        >>> recipe.layers[0]["weights"]["code"]["stored_bits"]  # doctest: +SKIP
        4
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Recipe":
        """Reads a recipe's file, or that of a result's folder.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is damaged, or no recipe.
        """
        file = Path(path)
        if file.is_dir():
            file = file / "recipe.dnateq.json"
        if not file.exists():
            raise FileNotFoundError(f"there is no recipe '{file}'")
        try:
            data = json.loads(file.read_text())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"'{file}' is damaged: {error}") from error
        if not isinstance(data, dict) or "layers" not in data:
            raise ValueError(f"'{file}' is no recipe; give recipe.dnateq.json of a result")
        return cls(data)

    @property
    def layers(self) -> list[dict[str, Any]]:
        """One document a quantized layer, in the network's order."""
        layers: list[dict[str, Any]] = self.data["layers"]
        return layers

    @property
    def unquantized(self) -> list[dict[str, Any]]:
        """Layers that stay in FP32: name, type, reason."""
        layers: list[dict[str, Any]] = self.data.get("unquantized", [])
        return layers

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The candidates that the search judged: bits, loss, predicted divergence."""
        steps: list[dict[str, Any]] = self.data.get("steps", [])
        return steps

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it as JSON, under a temporary name first."""
        file = Path(path)
        with staging(file.parent) as stage:
            (stage / "recipe").write_text(json.dumps(self.data, indent=1))
            (stage / "recipe").replace(file)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.data == other.data

    def __repr__(self) -> str:
        return f"<dnateq.Recipe of {self.data.get('model_file', '?')}: {len(self.layers)} layers>"
