"""The examples run as a user runs them, and say what they promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, ROOT / "examples" / name, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_the_founding_question_is_answered() -> None:
    said = run("founding_question.py")
    answer = "Each of the 8 normalization layers normalizes one image row of 56 pixels on its own."
    assert said.splitlines()[0] == answer
    for fact in (
        "Each of the 8 layers takes one mean and one variance over the 56 pixels of one image row",
        "7168 statistics sets per sample (128 channels x 56 rows)",
        "scale and bias have 56 values each: one per image column",
        "56 outputs change, those of its row",
        "802,816 of 802,816 would change",
        "y = scale * (x - mean) / (sqrt(var) + 1e-06) + bias",
        "y = scale * (x - mean) / (sqrt(var + 0.001) + 0.001) + bias",
        "array([2., 5.])",
        "A live model of PyTorch",
        'norm1 (LayerNorm)    "b c h [w]"',
        "At inference its samples are proved apart.",
    ):
        assert fact in said
    page = Path(said.strip().splitlines()[-1].removeprefix("The same with pictures: "))
    assert page.read_text(encoding="utf-8").count("<svg") == 1


def test_a_reader_that_stops_early_sees_no_traceback() -> None:
    command = [sys.executable, "-u", ROOT / "examples" / "founding_question.py"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


@pytest.mark.framework
def test_the_founding_network_learns_with_each_normalization() -> None:
    said = run("digits.py", "--epochs", "3", "--blocks", "2")
    right = [float(percent) for percent in re.findall(r"([\d.]+)% right", said)]
    assert len(right) == 4
    assert min(right) > 80


@pytest.mark.framework
def test_the_founding_network_learns_in_pytorch_too() -> None:
    said = run("torch_digits.py", "--epochs", "2", "--blocks", "1")
    right = [float(percent) for percent in re.findall(r"([\d.]+)% right", said)]
    assert len(right) == 5
    assert min(right) > 75
    assert "all 1 measured exactly" in said
    assert "samples see each other in training: True, at inference: False." in said


@pytest.mark.framework
def test_a_block_of_convnext_takes_the_weights_of_the_usual_one() -> None:
    said = run("torch_convnext.py", "--height", "14")
    for fact in (
        "weights of the usual block: <All keys matched successfully>",
        "same outputs and gradients: True, True",
        "a statistics set: 96 values, 196 per sample",
        "an audit of the block: 0 findings",
    ):
        assert fact in said


@pytest.mark.framework
def test_a_language_model_does_not_look_ahead() -> None:
    said = run("torch_language.py", "--steps", "20")
    assert 'with "b t [c]": along t the outputs are causal' in said
    assert 'with "b [t c]": along t the outputs are shared' in said
