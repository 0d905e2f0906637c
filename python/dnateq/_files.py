"""Writing files so that they are either whole or not there."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A new folder inside `folder`, from which finished files are renamed to their places; it goes in the end."""
    stage = Path(tempfile.mkdtemp(prefix=".dnateq-", dir=folder))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)
