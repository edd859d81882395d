"""Measure in a process of its own, which has seen no other case and no other allocator."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "benchmarks"


def measured(module: str, backend: str = "jax", **job: Any) -> Any:
    """What `benchmarks.MODULE.measure(**job)` returns, as JSON gives it back.

    Args:
        module: its name in this package.
        backend: of Keras.
        job: the arguments, which JSON can hold.

    Raises:
        RuntimeError: the process failed; with what it said.
    """
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.processes", module, json.dumps(job)],
        env={**os.environ, "KERAS_BACKEND": backend}, cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if run.returncode:
        raise RuntimeError(f"{module} {job} failed:\n{run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def keep(name: str, results: object) -> None:
    """Write the figures into build/benchmarks, for whoever wants to compare."""
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / f"{name}.json").write_text(json.dumps(results, indent=1, default=vars) + "\n")


def main() -> None:
    """The other side of `measured`."""
    name, job = sys.argv[1:]
    module = importlib.import_module(f"benchmarks.{name}")
    print(json.dumps(module.measure(**json.loads(job)), default=vars))


if __name__ == "__main__":
    main()
