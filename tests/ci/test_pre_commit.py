"""The hooks for pre-commit, run as a project runs them that names them in its configuration."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / ".pre-commit-hooks.yaml"
SEED = ROOT / "examples" / "seed_network_full_th.json"


def hooks() -> dict[str, dict[str, Any]]:
    return {hook["id"]: hook for hook in yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))}


def environment(folder: Path) -> dict[str, str]:
    """That of a project in which normscope is installed: its command is found by its name."""
    command = folder / "bin" / "normscope"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m normscope "$@"\n')
    command.chmod(0o755)
    git = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "a"), ("EMAIL", "a@example.org"))
    }
    return {
        **{name: text for name, text in os.environ.items() if not name.startswith("GIT_")},
        **git,
        "PATH": os.pathsep.join([str(command.parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT / "src"),
        "PRE_COMMIT_HOME": str(folder / "cache"),
        "GIT_CONFIG_GLOBAL": os.devnull,
    }


def git(folder: Path, *arguments: str) -> str:
    run = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=environment(folder.parent),
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a model, whose configuration names the hook of another repository."""
    theirs, ours = tmp_path / "normscope", tmp_path / "project"
    for folder in (theirs, ours):
        folder.mkdir()
        git(folder, "init", "-q", "-b", "main")
    shutil.copy(MANIFEST, theirs)
    git(theirs, "add", ".")
    git(theirs, "commit", "-q", "-m", "hooks")
    revision = git(theirs, "rev-parse", "HEAD")
    (ours / ".pre-commit-config.yaml").write_text(
        f"repos:\n- repo: {theirs}\n  rev: {revision}\n  hooks:\n  - id: normscope-audit\n"
    )
    shutil.copy(SEED, ours / "net.json")
    return ours


def run(project: Path) -> tuple[int, str]:
    git(project, "add", ".")
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--all-files"],
        cwd=project,
        env=environment(project.parent),
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_manifest_is_valid() -> None:
    command = [sys.executable, "-m", "pre_commit", "validate-manifest", str(MANIFEST)]
    subprocess.run(command, check=True)


def test_a_commit_is_held_up_by_findings(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.normscope]\nmodels = ["net.json"]\n')
    status, said = run(project)
    assert status == 1, said
    assert "NS103" in said
    (project / "pyproject.toml").write_text(
        '[tool.normscope]\nmodels = ["net.json"]\n[tool.normscope.allow]\n'
        '"*" = ["axes, statistics, numerics, porting: the network of 2016"]\n'
    )
    status, said = run(project)
    assert (status, "Passed" in said) == (0, True), said


def test_a_project_without_models_hears_what_to_write(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.normscope]\n")
    status, said = run(project)
    assert status == 1
    assert "list models under [tool.normscope]" in said.replace("\n", " ")


def test_model_files_are_given_to_the_other_hook(tmp_path: Path) -> None:
    """Its entry, with the files that pre-commit would put behind it."""
    hook = hooks()["normscope-audit-files"]
    files = ["a.onnx", "b/c.h5", "net.keras", "net.py", "data.json", "x.safetensors"]
    assert [name for name in files if re.search(hook["files"], name)] == [
        "a.onnx",
        "b/c.h5",
        "net.keras",
        "x.safetensors",
    ]
    for name in ("one.json", "two.json"):
        shutil.copy(SEED, tmp_path / name)
    entry = [*shlex.split(hook["entry"]), *hook.get("args", ()), "one.json", "two.json"]
    done = subprocess.run(
        entry, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("8 normalization layers: ") == 2
