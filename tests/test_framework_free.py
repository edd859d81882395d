"""The quick lane takes every test that needs no framework, and reports one that loads one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import framework_free

FILES = {
    "conftest.py": 'pytest_plugins = ["framework_free"]',
    "helper.py": "import torch",
    "test_imports_one.py": "import torch\ndef test(): ...",
    "test_imports_one_by_another_module.py": "from helper import torch\ndef test(): ...",
    "documented.py": '"""Shown.\n\n>>> 1 + 1\n2\n"""\nimport torch',
    "names_one.py": '"""Shown.\n\n>>> len("torch")\n5\n"""',
    "free.py": '"""Shown.\n\n>>> 1 + 1\n2\n"""',
    "test_free.py": """
import contextlib
import pytest

def test_loads_none(): ...

def test_loads_one():
    import torch

def test_loads_one_and_goes_on():
    with contextlib.suppress(Exception):
        import torch

@pytest.mark.framework
def test_says_that_it_loads_one():
    import torch

@pytest.mark.slow
def test_says_that_it_is_slow(): ...
""",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What became of each test: "PASSED test_free.py::test_loads_none"."""
    folder = tmp_path_factory.mktemp("lane")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    options = ["--framework-free", "-rA", "--tb=no", "--doctest-modules", "--strict-markers"]
    paths = [str(Path(framework_free.__file__).parent), str(folder)]
    code = f"import sys; sys.path[:0] = {paths}; import pytest; sys.exit(pytest.main())"
    run = subprocess.run(
        [sys.executable, "-c", code, *options, "-p", "no:cacheprovider", "."],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    lines = [line.split(" - ")[0] for line in run.stdout.splitlines()]
    return {line for line in lines if line.startswith(("PASSED", "FAILED", "ERROR"))}


def test_what_loads_no_framework_belongs_to_the_lane(outcomes: set[str]) -> None:
    assert {line for line in outcomes if line.startswith("PASSED")} == {
        "PASSED test_free.py::test_loads_none",
        "PASSED free.py::free",
    }


def test_a_test_that_loads_one_is_reported(outcomes: set[str]) -> None:
    """All else was left out."""
    assert {line for line in outcomes if not line.startswith("PASSED")} == {
        "FAILED test_free.py::test_loads_one",
        "FAILED test_free.py::test_loads_one_and_goes_on",
    }
