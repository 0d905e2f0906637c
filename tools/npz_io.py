"""Write .npz files whose bytes depend on the arrays only: fixed time stamps, sorted names, stored, not compressed."""

import io
import zipfile
from pathlib import Path

import numpy as np


def save_npz(path, arrays):
    """Writes `arrays` (name -> array, C order) to `path`; the same arrays give the same bytes on every machine."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            data = io.BytesIO()
            np.lib.format.write_array(data, np.asarray(arrays[name], order="C"), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # what Unix writes; the default differs between operating systems
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data.getvalue())
