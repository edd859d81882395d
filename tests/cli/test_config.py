"""`[tool.normscope]`: what a team writes down once; what the command line says comes first."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from normscope import cli

Run = Callable[..., tuple[int, str, str]]

EXAMPLES = Path(__file__).parents[2] / "examples"
SEED = "seed_network_full_th.json"
"""Its eight layers have findings of NS103 (error) and NS501 (warning)."""


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    shutil.copy(EXAMPLES / SEED, tmp_path)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["normscope", "audit", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


def configured(project: Path, text: str, name: str = "pyproject.toml") -> None:
    (project / name).write_text(f"[project]\nname = 'x'\n[tool.normscope]\n{text}")


def codes(out: str) -> set[str]:
    return {finding["code"] for finding in json.loads(out)["findings"]}


JSON = ("--format", "json")


def test_the_nearest_file_upward_counts(
    project: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(project, f'models = ["{SEED}"]\nselect = ["porting"]')
    assert codes(run(*JSON)[1]) == {"NS501"}
    monkeypatch.chdir(project / "below")
    (project / "below" / "pyproject.toml").write_text("[project]\nname = 'without a table'\n")
    assert codes(run(*JSON)[1]) == {"NS501"}
    (project / "below" / "pyproject.toml").write_text("[tool.normscope]\nselect = ['NS1']\n")
    status, _, err = run(*JSON)
    assert status == 2
    assert "name a model" in err


def test_the_command_line_comes_first(project: Path, run: Run) -> None:
    configured(project, 'select = ["NS5"]\nignore = "NS103"')
    assert codes(run(SEED, *JSON)[1]) == {"NS501"}
    assert codes(run(SEED, "--select", "NS1", *JSON)[1]) == set()
    assert codes(run(SEED, "--select", "NS1", "--ignore", "NS5", *JSON)[1]) == {"NS103"}
    assert {"NS103", "NS501"} <= codes(run(SEED, "--no-config", *JSON)[1])
    configured(project, 'ignore = ["NS1", "porting", "NS7"]', "other.toml")
    assert run(SEED, "--config", "other.toml")[0] == 0
    status, _, err = run(SEED, "--config", "other.toml", "--no-config")
    assert (status, "exclude each other" in err) == (2, True)


@pytest.mark.parametrize(
    "options",
    [
        ("--select", "NS103,NS501"),
        ("--select", "NS103", "--select", "keras-mode-removed"),
        ("--select", "axes, porting", "--ignore", "NS101,NS102"),
    ],
)
def test_rules_are_listed_with_commas_or_again(run: Run, project: Path, options: str) -> None:
    assert codes(run(SEED, *options, *JSON)[1]) == {"NS103", "NS501"}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('selct = "NS1"', "no key 'selct'; did you mean select?"),
        ("exit_zero = true", "did you mean exit-zero?"),
        ("select = 3", 'select is 3; write select = ["NS1"]'),
        ('select = ["NS999"]', "there is no rule 'NS999'"),
        ('fail-on = "panic"', "write error, warning or info"),
        ('exit-zero = "yes"', "exit-zero is 'yes'; write exit-zero = true"),
        ('allow = {"a" = "NS103"}', "says no reason"),
        ('[tool.normscope.allow]\nencoder.bn1 = "NS103: x"', '"encoder.bn1" ='),
        ('intents = {"a" = "nothing"}', "is not an intent"),
        ('independent = "b@eval"', "'eval' is not a mode"),
        ("models = [3]", "models[0]: is 3"),
        ('models = [{shape = "1,2"}]', "models[0]: names no model"),
        ('models = [{model = "x", modell = "y"}]', "models[0]: there is no key 'modell'"),
        ("baseline = 1", "baseline is 1"),
        ("models = {}", "models is {}"),
        ("x =", "is not TOML"),
    ],
)
def test_what_is_wrong_is_said_with_the_file_and_the_key(
    project: Path, run: Run, text: str, part: str
) -> None:
    configured(project, text)
    status, out, err = run(SEED)
    assert (status, out) == (2, "")
    assert part in err
    assert "pyproject.toml" in err
    assert len(err.splitlines()) == 1
    assert run(SEED, "--no-config")[0] == 1


def test_a_configuration_that_is_not_there(project: Path, run: Run) -> None:
    status, _, err = run(SEED, "--config", "nothing.toml")
    assert (status, "nothing.toml: cannot be read" in err) == (2, True)


def test_what_fails(project: Path, run: Run) -> None:
    warnings = (SEED, "--select", "NS5")
    assert run(*warnings)[0] == 1
    assert run(*warnings, "--fail-on", "warning")[0] == 1
    assert run(*warnings, "--fail-on", "error")[0] == 0
    assert run(SEED, "--fail-on", "error")[0] == 1
    assert run(SEED, "--exit-zero")[0] == 0
    assert run("no such file.h5", "--exit-zero")[0] == 2
    configured(project, 'exit-zero = true\nfail-on = "error"')
    assert run(SEED)[0] == 0
    assert run(SEED, "--no-exit-zero")[0] == 1
    assert run(*warnings, "--no-exit-zero")[0] == 0


def test_a_baseline_is_adopted_and_pruned(project: Path, run: Run) -> None:
    status, _, err = run(SEED, "--baseline", "known.json")
    assert (status, "--write-baseline makes it" in err) == (2, True)
    status, out, _ = run(SEED, "--baseline", "known.json", "--write-baseline")
    assert status == 0
    assert "from now on only new ones fail" in out
    first = (project / "known.json").read_text()
    configured(project, 'baseline = "known.json"')
    assert run(SEED)[0] == 0
    known = json.loads(run(SEED, *JSON)[1])["known"]
    assert {finding["code"] for finding in known} == {"NS103", "NS501"} | {
        finding["code"] for finding in known
    }
    run(SEED, "--write-baseline", "--ignore", "NS5")
    assert "NS501" not in (project / "known.json").read_text()
    assert codes(run(SEED, *JSON)[1]) == {"NS501"}
    run(SEED, "--write-baseline")
    assert (project / "known.json").read_text() == first
    (project / "known.json").write_text("{")
    status, out, err = run(SEED)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert run(SEED, "--no-config", "--write-baseline")[0] == 2


def test_several_models(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(EXAMPLES / SEED, project / "second.json")
    configured(
        project,
        f'models = ["{SEED}", {{ model = "second.json", ignore = ["NS103"] }}]\n'
        'select = ["NS103", "NS001"]\n'
        '[tool.normscope.allow]\n"nowhere" = "NS103: gone"\n',
    )
    monkeypatch.chdir(project / "below")
    status, out, err = run()
    assert status == 1
    assert out.count("8 normalization layers, no findings") == 1
    assert out.count("8 normalization layers: 8 errors") == 1
    assert "no model has use for what is said of nowhere" in err
    assert "NS001" not in out
    log = json.loads(run("--format", "sarif")[1])
    assert [bool(one["results"]) for one in log["runs"]] == [True, False]
    status, _, err = run("--format", "html")
    assert (status, "is the report of one model" in err) == (2, True)
    # one that is named has what the configuration says of it
    assert run("../second.json")[0] == 0
    assert run("../second.json", "--ignore", "NS102")[0] == 1


@pytest.mark.framework
def test_promises_and_shapes_are_configured(project: Path, run: Run) -> None:
    (project / "net.py").write_text(
        "from torch import nn\n\n"
        "def net():\n    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))\n"
    )
    configured(
        project,
        'models = [{ model = "net.py:net()", shape = "4,3,8,8", axes = "b c h w" }]\n'
        'independent = "b@inference"\ncausal = 3\nselect = "NS7"',
    )
    status, out, _ = run(*JSON)
    standing = {
        (one["promise"], one["axis"], one["mode"]): one["standing"]
        for one in json.loads(out)["promises"]
    }
    assert standing == {
        ("independent", "b", "inference"): "kept",
        ("causal", 3, "training"): "broken",
        ("causal", 3, "inference"): "broken",
    }
    assert status == 1
    status, out, _ = run(*JSON, "--independent", "b", "--causal", "b@inference")
    said = {(one["promise"], one["axis"], one["mode"]) for one in json.loads(out)["promises"]}
    assert said == {
        ("independent", "b", "training"),
        ("independent", "b", "inference"),
        ("causal", "b", "inference"),
    }
