"""`normscope new-rule`: what it writes passes the linters, is found as a rule, and wants models."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a checkout needs to write a rule and to lint it."""
    root = tmp_path_factory.mktemp("checkout")
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", root / "src", ignore=without)
    shutil.copytree(ROOT / "tests" / "audit" / "rules", root / "tests" / "audit" / "rules")
    for name in ("pyproject.toml", "tests/rule_fixtures.py"):
        shutil.copy(ROOT / name, root / name)
    return root


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (root / "src", root / "tests", ROOT / "tests")))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True
    )


def new_rule(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(root, "-m", "normscope", "new-rule", *arguments)


def test_a_rule_is_written_linted_and_found(checkout: Path) -> None:
    name = "some-thing-that-is-wrong-by-40-letters-x"
    made = new_rule(checkout, "NS699", name)
    assert (made.returncode, made.stderr) == (0, "")
    files = [
        checkout / folder / "ns699_some_thing_that_is_wrong_by_40_letters_x.py"
        for folder in ("src/normscope/audit/rules", "tests/audit/rules")
    ]
    assert all(file.is_file() for file in files)
    assert all(os.path.relpath(file, checkout) in made.stdout for file in files)
    paths = list(map(str, files))
    for command in (("ruff", "check", *paths), ("ruff", "format", "--check", *paths)):
        linted = run(checkout, "-m", *command)
        assert linted.returncode == 0, linted.stdout
    page = run(checkout, "-m", "normscope", "rules", name).stdout
    assert page.startswith(f"NS699 {name}: ")
    harness = (
        "from rule_fixtures import fixtures, modules; modules()['NS699'].measured;"
        "print([str(f) for way in (True, False) for f in fixtures(way) if f.code == 'NS699'])"
    )
    found = run(checkout, "-c", harness)
    assert found.stderr == ""
    assert found.stdout.split() == [
        "['NS699-torch-wrong_torch',",
        "'NS699-torch-right_torch']",
    ]
    again = new_rule(checkout, "NS699", "something-else")
    assert again.returncode == 2
    assert "NS699 is some-thing" in again.stderr
    assert "NS601 is free" in again.stderr or "NS6" in again.stderr


@pytest.mark.parametrize(
    ("code", "name", "part"),
    [
        ("NS101", "something-new", "NS101 is single-value-statistic"),
        ("NS698", "single-value-statistic", "single-value-statistic is NS101 already"),
        ("ns698", "something-new", "'ns698' is not a code"),
        ("NS6980", "something-new", "NS6 structure"),
        ("NS698", "Something", "is not a name"),
        ("NS698", "../../evil", "is not a name"),
        ("NS698", "x" * 41, "at most 40 letters"),
        ("NS698", "no-single-value", "name what is wrong"),
    ],
)
def test_what_is_taken_or_is_no_name(checkout: Path, code: str, name: str, part: str) -> None:
    before = sorted(checkout.rglob("*.py"))
    refused = new_rule(checkout, code, name)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert part in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert sorted(checkout.rglob("*.py")) == before


def test_it_needs_a_checkout(checkout: Path, tmp_path: Path) -> None:
    shutil.copytree(checkout / "src" / "normscope", tmp_path / "site-packages" / "normscope")
    code = "import sys; sys.path.insert(0, 'site-packages'); from normscope.cli import main; main()"
    refused = run(tmp_path, "-c", code, "new-rule", "NS698", "something-new")
    assert refused.returncode == 2
    assert "writes into a checkout of normscope" in refused.stderr
