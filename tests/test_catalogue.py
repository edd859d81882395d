"""The page docs/computed.md still says what the frameworks compute: every layer is asked again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from catalogue.finding import findings

ROOT = Path(__file__).parents[1]
PARTS = [*json.loads((ROOT / "catalogue" / "computed.json").read_text(encoding="utf-8")), "page"]


def problems(part: str, root: Path = ROOT) -> list[str]:
    """What is no longer as written; a part is examined in a process and on a backend of its own."""
    command = [sys.executable, "-m", "catalogue", "check", part]
    quick = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # what is compiled runs once
    done = subprocess.run(command, cwd=root, env=quick, capture_output=True, text=True, check=False)
    found = done.stdout.splitlines()
    assert done.returncode == bool(found), done.stderr
    return found


@pytest.mark.framework
@pytest.mark.parametrize("part", PARTS)
def test_what_is_written_is_still_so(part: str) -> None:
    assert problems(part) == []


@pytest.mark.parametrize(
    ("path", "words"),
    [("README.md", "{} findings"), ("README.zh.md", "{} 条发现"), ("CHANGELOG.md", "{} findings")],
)
def test_the_number_of_findings_is_said_right(path: str, words: str) -> None:
    assert words.format(len(findings())) in (ROOT / path).read_text(encoding="utf-8")


# --- its twin: what is wrong there is noticed -----------------------------------------------------


def altered(path: Path, change: Callable[[str], str]) -> None:
    text = path.read_text(encoding="utf-8")
    assert change(text) != text
    path.write_text(change(text), encoding="utf-8")


@pytest.mark.framework
def test_what_is_no_longer_so_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "catalogue", tmp_path / "catalogue")
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "computed.md", tmp_path / "docs")
    finding = "haiku_layer_norm_parameters"

    altered(
        tmp_path / "catalogue" / "computed.json",
        lambda text: text.replace('"hk.RMSNorm(-1)"', '"hk.RMSNorm(-2)"').replace(
            '"hk.GroupNorm(4)", "axes": "b h w c"', '"hk.GroupNorm(4)", "axes": "b h w g"'
        ),
    )
    altered(
        tmp_path / "catalogue" / "findings" / "surprising" / f"{finding}.py",
        lambda text: text.replace("(5,)", "(6,)"),
    )

    assert [line.split(":")[0] for line in problems("haiku", tmp_path)] == [
        "hk.RMSNorm(-2) on b h w c is gone",
        "hk.GroupNorm(4) on b h w g is gone",
        "hk.RMSNorm(-1) on b h w c is new",
        "hk.GroupNorm(4) on b h w c is new",
        f"{finding} is no longer so",
    ]
    assert problems("page", tmp_path) == [
        "docs/computed.md is not what computed.json and the findings say: run make catalogue"
    ]


@pytest.mark.framework
def test_a_forgotten_layer_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "catalogue", tmp_path / "catalogue")
    altered(
        tmp_path / "catalogue" / "haiku_layers.py",
        lambda text: "".join(line for line in text.splitlines(True) if "hk.RMSNorm" not in line),
    )
    assert "RMSNorm has no row: write one into catalogue/haiku_layers.py" in problems(
        "haiku", tmp_path
    )


@pytest.mark.framework
def test_a_changed_number_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "catalogue", tmp_path / "catalogue")
    altered(
        tmp_path / "catalogue" / "computed.json",
        lambda text: text.replace('{"pattern": "b h w [c]"}', '{"pattern": "b h w [c]", "eps": 2}'),
    )
    assert [line.split(":")[0] for line in problems("jax", tmp_path)] == [
        "jax.nn.standardize on b h w c"
    ] * 2
