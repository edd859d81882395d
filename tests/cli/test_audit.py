"""`normscope audit` of a live model: the notation of models and inputs, and the exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from normscope import cli

Run = Callable[..., tuple[int, str, str]]

MODEL = """
import torch
from torch import nn

def net(bias):
    return nn.Sequential(nn.Conv2d(3, 6, 3, bias=bias), nn.BatchNorm2d(6), nn.ReLU())

class Gate(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x.mean((2, 3), keepdim=True))
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    (tmp_path / "audited.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["normscope", "audit", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


@pytest.mark.framework
def test_a_live_model(run: Run) -> None:
    status, out, err = run("audited.py:net(False)", "--shape", "4,3,8,8", "--axes", "b c h w")
    assert (status, err) == (0, "")
    assert "1 normalizes one channel over the whole batch" in out.splitlines()[0]
    status, out, _ = run("audited.py:net(True)", "--input", "4,3,8,8", "--format", "json")
    assert status == 1
    assert [finding["code"] for finding in json.loads(out)["findings"]] == ["NS401"]


@pytest.mark.framework
def test_reports_of_several_forms_come_from_one_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "once.py").write_text(
        "import pathlib\nimport audited\n\ndef net():\n"
        "    with pathlib.Path('made').open('a') as file:\n        file.write('.')\n"
        "    return audited.net(True)\n"
    )
    also = ("--also", "sarif:a b.sarif", "--also", "json:found.json")
    status, out, err = run("once.py:net()", "--shape", "4,3,8,8", *also)
    assert (status, err) == (1, "")
    assert "NS401" in out
    assert (tmp_path / "made").read_text() == "."
    sarif = json.loads((tmp_path / "a b.sarif").read_text(encoding="utf-8"))
    assert [found["ruleId"] for found in sarif["runs"][0]["results"]] == ["NS401"]
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["findings"]
    assert [finding["code"] for finding in found] == ["NS401"]


@pytest.mark.parametrize("wrong", ["sarif", "sarif:", "pdf:a.pdf"])
def test_another_report_is_a_form_and_a_file(run: Run, wrong: str) -> None:
    status, _, err = run("audited.py:net(True)", "--also", wrong)
    assert status == 2
    assert "is not a form and a file" in err


@pytest.mark.framework
def test_a_model_to_compare_with(run: Run) -> None:
    model = ("audited.py:net(False)", "--shape", "4,3,8,8")
    status, out, err = run(*model, "--against", "audited.py:net(True)")
    assert (status, err) == (0, "")
    assert "compared with" in out
    assert "1 normalization layer paired by path" in out
    assert run(*model, "--against", "nowhere.pt")[0] == 2


@pytest.mark.framework
def test_data_that_are_not_those_of_the_statistics(run: Run, tmp_path: Path) -> None:
    (tmp_path / "shifted.py").write_text(
        "from torch import nn\nnet = nn.Sequential(nn.BatchNorm1d(6))\nnet[0].running_mean += 3\n"
    )
    np.save(tmp_path / "data.npy", np.random.default_rng(0).normal(size=(64, 6)))
    said = ("shifted.py:net", "--select", "NS309", "--data")
    status, out, err = run(*said, "data.npy")
    assert (status, err) == (1, "")
    assert "the means are off by 3 standard" in out
    assert "give the file of an array" in run(*said, "64,6")[2]
    np.save(tmp_path / "data.npy", np.zeros((64, 5)))
    assert "does not take the data" in run(*said, "data.npy", "--shape", "4,6")[2]


@pytest.mark.framework
def test_what_was_dismissed_is_listed_with_verbose(run: Run) -> None:
    plain = run("audited.py:Gate()", "--shape", "4,3,8,8")
    verbose = run("audited.py:Gate()", "--shape", "4,3,8,8", "--verbose")
    assert plain[0] == verbose[0] == 0
    assert "a gate" not in plain[1]
    assert "a gate" in verbose[1]


@pytest.mark.framework
def test_shapes_that_are_missing_or_do_not_fit(run: Run) -> None:
    status, out, err = run("audited.py:net(True)")
    assert (status, out) == (2, "")
    assert "--shape 4,3,224,224" in err
    status, _, err = run("audited.py:net(True)", "--shape", "4,5,8,8")
    assert status == 2
    assert "cannot be audited with these inputs" in err


def test_a_file_of_code_asks_what_in_it_is_meant(run: Run) -> None:
    status, _, err = run("audited.py", "--shape", "4,3,8,8")
    assert status == 2
    assert 'as in "audited.py:net"' in err
