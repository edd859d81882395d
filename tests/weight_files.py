"""Files of weights, written without the packages of their formats."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def safetensors(path: Path, arrays: Mapping[str, Any]) -> Path:
    """A file of safetensors with these arrays, as float32."""
    header, data = {}, b""
    for name, array in arrays.items():
        own = np.asarray(array, np.float32).tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(np.shape(array)),
            "data_offsets": [len(data), len(data) + len(own)],
        }
        data += own
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path
