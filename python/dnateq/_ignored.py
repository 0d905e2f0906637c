"""Which layers stay in FP32, in the words that NNCF has for it too."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from dnateq import _core
from dnateq._checks import patterns, text


@runtime_checkable
class Scope(Protocol):
    """What `IgnoredScope` and `nncf.IgnoredScope` have in common."""

    @property
    def names(self) -> Sequence[str]: ...
    @property
    def types(self) -> Sequence[str]: ...
    @property
    def patterns(self) -> Sequence[str]: ...
    @property
    def validate(self) -> bool: ...


@dataclass
class IgnoredScope:
    """Layers that stay in FP32: those that any of the lists names. An `nncf.IgnoredScope` does as well.

    Attributes:
        names: whole names of layers, as `dnateq inspect` lists them.
        types: types of operations, as OpenVINO calls them: `MatMul`, `Convolution`, `GroupConvolution`, `Gather` (embeddings).
            Operations of other types, such as `Add`, stay in FP32 anyway.
        patterns: regular expressions (ECMAScript's) that match from the start of a layer's name.
        validate: whether an entry that matches nothing is an error.

    Examples:
        >>> heads = dnateq.IgnoredScope(names=["classifier"], types=["Gather"], patterns=[".*/attention/.*"])
    """

    names: Sequence[str] = field(default_factory=list)
    types: Sequence[str] = field(default_factory=list)
    patterns: Sequence[str] = field(default_factory=list)
    validate: bool = True


Ignored = Sequence[str] | Scope


def ignore(arguments: _core.QuantizeArguments, name: str, given: Any) -> None:
    """Sets what `given`, the argument called `name`, leaves out.

    Raises TypeError and ValueError for what is neither a list of regular expressions nor a scope.
    """
    if not isinstance(given, Scope) or isinstance(given, Mapping):
        if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
            raise TypeError(f"{name} is a {type(given).__name__}; give a list of regular expressions, or an IgnoredScope")
        arguments.ignore = patterns(name, given)
        return
    if getattr(given, "subgraphs", None):
        raise ValueError(f"{name} has subgraphs, which dnateq does not know; name their layers by names, types or patterns")
    for kind in ("names", "types", "patterns"):
        entries = getattr(given, kind)
        if isinstance(entries, (str, bytes)) or not isinstance(entries, Iterable):
            raise TypeError(f"{name}.{kind} is a {type(entries).__name__}; give a list of strings")
    arguments.ignore_names = [text(f"an entry of {name}.names", entry) for entry in given.names]
    arguments.ignore_types = [text(f"an entry of {name}.types", entry) for entry in given.types]
    # A list of patterns is searched for anywhere in a name; these match from its start, as NNCF's do.
    arguments.ignore = [f"^(?:{text(f'an entry of {name}.patterns', entry)})" for entry in given.patterns]
    arguments.ignore_may_miss = not given.validate
