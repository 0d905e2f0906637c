"""Kinds and ranges of arguments, refused with one sentence that names the argument; the library's errors as Python's."""

import contextlib
import math
import operator
import re
from collections.abc import Iterable, Iterator
from typing import Any

from dnateq import _core


def text(name: str, value: Any) -> str:
    """Raises TypeError unless `value` is a string."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is a {type(value).__name__}; give a string")
    return value


def whole(name: str, value: Any, low: int, high: int) -> int:
    """`value` as an int within [low, high]. Raises TypeError, ValueError."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is a {type(value).__name__}; give a whole number") from None
    if not low <= number <= high:
        raise ValueError(f"{name} is {number}; it must lie between {low} and {high}")
    return number


def real(name: str, value: Any) -> float:
    """`value` as a finite float. Raises TypeError, ValueError."""
    try:
        number = float(value) if not isinstance(value, (str, bytes)) else None
    except (TypeError, ValueError):
        number = None
    if number is None:
        raise TypeError(f"{name} is a {type(value).__name__}; give a number")
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}; give a finite number")
    return number


def patterns(name: str, value: Any) -> list[str]:
    """`value` as a list of strings. Raises TypeError, for a lone string too: its letters would be patterns."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} is a {type(value).__name__}; give a list of regular expressions")
    return [text(f"a pattern of {name}", pattern) for pattern in value]


def python_names(sentence: str) -> str:
    """The library's sentences name the program's options; a Python user knows them as keywords."""
    names = {"ignore": "ignored", "ignore-name": "ignored.names", "ignore-type": "ignored.types",
             "resume": "resume=True"}
    sentence = re.sub(r"(?<!\S)-o\b", "directory", sentence.replace("; see --help", ""))
    return re.sub(r"--([a-z][a-z0-9-]+)", lambda found: names.get(found[1], found[1].replace("-", "_")), sentence)


@contextlib.contextmanager
def library_errors() -> Iterator[None]:
    """The library's errors as ValueError."""
    try:
        yield
    except _core.Error as error:
        raise ValueError(python_names(str(error))) from None
