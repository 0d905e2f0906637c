"""Calibration and validation samples: any iterable, read once, kept on disk."""

import itertools
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dnateq import _core, _watch
from dnateq._checks import library_errors

Transform = Callable[[Any], Any]
# Items of an iterable without a length, which may be endless: with these, the rows that a layer is solved by are full.
MOST_WITHOUT_LENGTH = 1024


def _array(value: Any, name: str, index: int) -> npt.NDArray[Any]:
    if hasattr(value, "detach"):  # a torch.Tensor
        value = value.detach().cpu()
        if str(getattr(value, "dtype", "")) == "torch.bfloat16":  # which numpy does not have
            value = value.float()
    elif type(value).__name__ == "Tensor" and hasattr(value, "data"):  # an openvino.Tensor
        value = value.data
    try:
        array: npt.NDArray[Any] = np.asarray(value)
    except (TypeError, ValueError) as error:  # such as lists of different lengths
        raise type(error)(f"sample {index} gives a {type(value).__name__} that is no array for model input '{name}' ({error}); "
                          "give numbers, all of one shape") from error
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise TypeError(f"sample {index} gives {array.dtype} for model input '{name}'; give float32, float64, float16, bool or "
                        "integers, all of one shape")
    native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    # ascontiguousarray makes a number an array of one
    return native if native.flags.c_contiguous else np.ascontiguousarray(native)


def _arrays(item: Any, names: list[str], index: int) -> list[npt.NDArray[Any]]:
    if isinstance(item, Mapping):
        missing = [name for name in names if name not in item]
        if missing:
            raise ValueError(f"sample {index} has no array '{missing[0]}' (it has: {', '.join(map(str, item))}; the model's "
                             f"inputs: {', '.join(names)})")
        values = [item[name] for name in names]
    elif isinstance(item, (tuple, list)) and (len(names) > 1 or any(hasattr(value, "shape") for value in item)):
        if len(item) != len(names):
            raise ValueError(f"sample {index} holds {len(item)} arrays, and the model has {len(names)} inputs: "
                             f"{', '.join(names)}; drop the others by transform=")
        values = list(item)
    elif len(names) == 1:
        values = [item]
    else:
        raise ValueError(f"sample {index} is one array, and the model has {len(names)} inputs: {', '.join(names)}; give a dict")
    return [_array(value, name, index) for value, name in zip(values, names, strict=True)]


def has_length(samples: Any) -> bool:
    """Whether an iterable knows how many items it holds: one that is endless does not."""
    try:
        return len(samples) >= 0
    except (TypeError, NotImplementedError):  # such as a torch DataLoader of an IterableDataset
        return False


def spool(samples: Any, names: list[str], transform: Transform | None, what: str, rows: bool = False,
          folder: Path | None = None, most: int | None = None) -> _core.Spool:
    """Reads an iterable to its end, or its first `most` items, keeping one sample in memory at a time.

    `what` names the samples in messages. `rows`: every array's first axis is split into samples, since each has a label.

    Raises TypeError and ValueError naming the sample; what the iterable itself or `transform` raises comes through.
    """
    if isinstance(samples, (str, bytes)) or not isinstance(samples, Iterable):
        raise TypeError(f"{what} is a {type(samples).__name__}; give an iterable of arrays, or of dicts by the model's inputs")
    if isinstance(samples, Mapping):
        raise TypeError(f"{what} is one mapping; give an iterable of samples, such as a list of dicts")
    if transform is not None and not callable(transform):
        raise TypeError(f"transform is a {type(transform).__name__}; give a function")
    _watch.use()
    with library_errors():
        kept = _core.Spool(Path(tempfile.gettempdir()) if folder is None else folder, what, names)
    for index, item in enumerate(itertools.islice(samples, most)):
        arrays = _arrays(transform(item) if transform is not None else item, names, index)
        if not rows:
            with library_errors():
                kept.add(arrays)
            continue
        counts = {array.shape[0] if array.ndim else -1 for array in arrays}
        if len(counts) != 1 or -1 in counts:
            raise ValueError(f"sample {index} of {what}: with labels, the first axis of every array counts samples")
        for row in range(counts.pop()):
            with library_errors():
                kept.add([array[row:row + 1] for array in arrays])
    if len(kept) == 0:
        raise ValueError(f"{what} is empty; give at least one sample (a generator can be read only once)")
    return kept


def spool_subset(samples: Any, names: list[str], transform: Transform | None, what: str, subset_size: int | None,
                 known_length: bool) -> _core.Spool:
    """`spool` of the first `subset_size` items; by default of all, if their number is known.

    Else of the first MOST_WITHOUT_LENGTH, with a warning where there were as many.
    """
    if subset_size is not None or known_length:
        return spool(samples, names, transform, what, most=subset_size)
    kept = spool(samples, names, transform, what, most=MOST_WITHOUT_LENGTH)
    if len(kept) == MOST_WITHOUT_LENGTH:
        warnings.warn(f"{what} has no length and may be endless: its first {MOST_WITHOUT_LENGTH} items are taken; subset_size "
                      "says how many", stacklevel=4)
    return kept


def labels_of(labels: Any) -> list[int]:
    """Whole numbers, one a validation sample."""
    try:
        array = np.asarray(labels if hasattr(labels, "__len__") else list(labels))
    except (TypeError, ValueError) as error:
        raise TypeError(f"labels are no list of whole numbers, one a sample of validation: {error}") from error
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(f"labels are {array.dtype} of shape {array.shape}; give whole numbers, one a sample of validation")
    numbers = [int(label) for label in array]
    for index, number in enumerate(numbers):
        if not 0 <= number < 2**31:
            raise ValueError(f"label {number} of sample {index} of validation is no class; count classes from 0")
    return numbers
