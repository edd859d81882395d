"""The action for continuous integration: its steps are run as a runner of workflows runs them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SEED = ROOT / "examples" / "seed_network_full_th.json"

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


@dataclass
class Ran:
    """What a run of the action left behind."""

    status: int
    log: str
    outputs: dict[str, str]
    used: list[str]


def run(folder: Path, **given: str) -> Ran:
    """The steps one after the other, until one fails; an action that they use is only noted."""
    unknown = set(given) - {name.replace("-", "_") for name in ACTION["inputs"]}
    assert not unknown
    inputs = {
        name: given.get(name.replace("-", "_"), said.get("default", ""))
        for name, said in ACTION["inputs"].items()
    }
    steps: dict[str, dict[str, str]] = {}
    log, status, used = "", 0, []

    def filled(text: str) -> str:
        def value(match: re.Match[str]) -> str:
            kind, *rest = match[1].split(".")
            if kind == "inputs":
                return str(inputs[rest[0]])
            if match[1] == "github.action_path":
                return str(ROOT)
            assert (kind, rest[1]) == ("steps", "outputs"), match[1]
            return steps.get(rest[0], {}).get(rest[2], "")

        return re.sub(r"\$\{\{\s*([\w.-]+)\s*\}\}", value, text)

    for number, step in enumerate(ACTION["runs"]["steps"]):
        if "if" in step:
            condition = re.fullmatch(r"inputs\.([\w-]+) != '(\w*)'", step["if"])
            assert condition is not None, step["if"]
            if inputs[condition[1]] == condition[2]:
                continue
        if "uses" in step:
            used.append(step["uses"])
            continue
        assert "${{" not in step["run"], "a text of the workflow would be a part of the program"
        file = folder / f"step{number}.{'py' if step['shell'] == 'python' else 'sh'}"
        file.write_text(step["run"], encoding="utf-8")
        outputs = folder / f"outputs{number}"
        outputs.touch()
        shell = {
            "python": [sys.executable],
            "bash": ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"],
        }[step["shell"]]
        done = subprocess.run(
            [*shell, str(file)],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "src"),
                "GITHUB_OUTPUT": str(outputs),
                **{name: filled(str(text)) for name, text in step.get("env", {}).items()},
            },
            capture_output=True,
            text=True,
        )
        log += done.stdout + done.stderr
        steps[step.get("id", "")] = dict(
            line.split("=", 1) for line in outputs.read_text().splitlines()
        )
        if done.returncode:
            status = done.returncode
            break
    made = {name: filled(said["value"]) for name, said in ACTION["outputs"].items()}
    return Ran(status, log, made, used)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(SEED, tmp_path / "net.json")
    return tmp_path


def test_findings_fail_and_are_written_for_code_scanning(project: Path) -> None:
    ran = run(
        project, model="net.json", args="--select 'NS5, NS103'", sarif="a b.sarif", install="none"
    )
    assert (ran.status, ran.outputs) == (1, {"status": "1", "sarif": "a b.sarif"})
    assert "8 normalization layers: 8 errors" in ran.log
    log = json.loads((project / "a b.sarif").read_text(encoding="utf-8"))
    assert {result["ruleId"] for result in log["runs"][0]["results"]} == {"NS103", "NS501"}
    assert ran.used == ["actions/setup-python@v5"]


def test_a_clean_model(project: Path) -> None:
    ran = run(project, model="net.json", args="--select NS7", install="none", python_version="")
    assert (ran.status, ran.outputs, ran.used) == (0, {"status": "0", "sarif": ""}, [])


def test_what_cannot_be_read(project: Path) -> None:
    ran = run(project, model="nothing.json", sarif="x.sarif", install="none")
    assert (ran.status, ran.outputs) == (2, {"status": "2", "sarif": ""})
    assert not (project / "x.sarif").exists()
    assert "nothing.json" in ran.log


def test_configured_models_and_several_in_lines(project: Path) -> None:
    shutil.copy(SEED, project / "other.json")
    two = run(project, model="net.json\n\n  other.json\n", args="--select NS7", install="none")
    assert (two.status, two.log.count("8 normalization layers, no findings")) == (0, 2)
    (project / "pyproject.toml").write_text(
        '[tool.normscope]\nmodels = ["net.json"]\nselect = ["NS5"]\n'
    )
    ran = run(project, install="none")
    assert (ran.status, "NS501" in ran.log) == (1, True)


def test_a_text_of_the_workflow_is_no_program(project: Path) -> None:
    wild = "net.json; touch wild $(touch wild) `touch wild`"
    ran = run(project, model=wild, args="--select NS7", install="none")
    assert ran.status == 2
    ran = run(project, model="net.json", args="--select 'NS7; touch wild'", install="none")
    assert ran.status == 2
    assert not (project / "wild").exists()


def test_what_is_installed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call of pip, answered by another program of that name."""
    (project / "pip.py").write_text("import sys, json\nprint('PIP', json.dumps(sys.argv[1:]))\n")
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    ran = run(project, model="net.json", args="--select NS7", install="torch 'onnx>=1.19'")
    said = next(line for line in ran.log.splitlines() if line.startswith("PIP"))
    wanted = ["install", "--quiet", str(ROOT), "torch", "onnx>=1.19"]
    assert json.loads(said.removeprefix("PIP ")) == wanted
    assert ran.status == 0


def test_inputs_and_outputs_say_what_they_are() -> None:
    for said in (*ACTION["inputs"].values(), *ACTION["outputs"].values()):
        assert said["description"]
    assert all("default" in said for said in ACTION["inputs"].values())
