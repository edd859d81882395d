"""The parts of the catalogue: one framework, on one backend, in a process of its own."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

from catalogue.row import measured

ROOT = Path(__file__).parents[1]

PARTS = {
    "torch": "torch_layers",
    "keras on jax": "keras_layers",
    "keras on tensorflow": "keras_layers",
    "keras on torch": "keras_layers",
    "flax nnx": "nnx_layers",
    "flax linen": "linen_layers",
    "haiku": "haiku_layers",
    "equinox": "equinox_layers",
    "jax": "jax_layers",
    "onnx": "onnx_layers",
}
"""The file of each part."""


def prepare(part: str) -> None:
    """Make this process ready for a part, before its framework is imported."""
    _, _, backend = part.partition(" on ")
    os.environ["KERAS_BACKEND"] = backend or "jax"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    warnings.simplefilter("ignore")  # of what the frameworks warn is not the question


def module_of(part: str) -> ModuleType:
    """The file of a part; importing it imports its framework, for which `prepare` comes first."""
    return importlib.import_module(f"catalogue.{PARTS[part]}")


def measured_here(part: str) -> dict[str, Any]:
    """Everything about a part, found in this process, which `prepare` has made ready."""
    module = module_of(part)
    versions = {name: importlib.metadata.version(name) for name in module.PACKAGES}
    return {
        "title": module.TITLE,
        "versions": {name: version.partition("+")[0] for name, version in versions.items()},
        "rows": [measured(row, module.make) for row in module.ROWS],
    }


def measured_apart(part: str) -> dict[str, Any]:
    """The same, found in a new process."""
    command = [sys.executable, "-m", "catalogue", "measure", part]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
