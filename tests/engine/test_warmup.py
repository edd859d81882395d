"""What `normscope warmup` promises: the kernels are loaded, and it says which they are."""

from __future__ import annotations

import subprocess
import sys

import pytest

from normscope.engine.warmup import DTYPES, warmup
from normscope.errors import DtypeError
from normscope.kernels.library import processors


def test_the_command_says_what_runs() -> None:
    command = [sys.executable, "-m", "normscope", "warmup", "float32"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.startswith(f"kernels for {processors()}, ")


def test_every_dtype_has_kernels() -> None:
    warmup()


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(DtypeError, match="no kernels for int8, only for " + ", ".join(DTYPES)):
        warmup(["int8"])
