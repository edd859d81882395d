"""Scripts run on one backend of Keras, each in a process of its own: a process has one backend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def run_on_backend(script: Path, backend: str) -> dict[str, Any]:
    """What a script prints as JSON, which names its backend too."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # what is compiled runs once
        "OMP_NUM_THREADS": "1",  # small arrays: threads of several test processes only wait
    }
    process = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    output: dict[str, Any] = json.loads(process.stdout)
    assert output["backend"] == backend
    return output
