"""`normscope scope`: a model in a file, inputs from text."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from normscope import SpecError, cli
from normscope.cli.inputs import axes_from_text, inputs_from_text

MODEL = """
import numpy as np
from beside import TABLE

class Net:
    def __init__(self, axis=1):
        self.axis = axis

    def __call__(self, ids, training=False):
        x = TABLE[ids]
        return x - x.mean(0 if training else self.axis, keepdims=True)
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    (tmp_path / "a_model.py").write_text(MODEL)
    (tmp_path / "beside.py").write_text("import numpy\nTABLE = numpy.linspace(-1, 1, 10)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["normscope", "scope", *arguments])
        try:
            cli.main()
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    yield call
    for name in ("a_model", "beside"):
        sys.modules.pop(name, None)


def test_a_model_in_a_file(run) -> None:  # type: ignore[no-untyped-def]
    status, out, err = run("a_model.py:Net()", "--shape", "3,6:int64", "--axes", "b t")
    assert (status, err) == (0, "")
    assert out.splitlines()[:3] == [
        "Net on input (b=3, t=6)",
        "  In training, sample 0 sees sample 1.",
        "  In inference, no sample sees another: by probing.",
    ]


def test_samples_that_see_each_other_at_inference_are_a_finding(run) -> None:  # type: ignore[no-untyped-def]
    status, out, _ = run("a_model.py:Net(axis=0)", "--input", "ids=3,6:int64<9", "--format", "json")
    assert status == 1
    found = json.loads(out)
    assert found["sample_independent"] == {"train": False, "infer": False}
    assert found["inputs"] == {"ids": [3, 6]}


def test_output_goes_to_a_file(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    np.save(tmp_path / "ids.npy", np.arange(12).reshape(2, 6) % 9)
    path = tmp_path / "report"
    assert run("a_model.py:Net()", "--input", "ids.npy", "-o", str(path)) == (0, "", "")
    assert "no sample sees another" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ["a_model.py:Net()"],
        ["a_model.py:Net()", "--shape", "3,x"],
        ["a_model.py:Net()", "--shape", "3,4:complex64"],
        ["a_model.py:Net()", "--shape", "3,4:nonsense"],
        ["a_model.py:Net()", "--input", "missing.npy"],
        ["a_model.py:Net()", "--shape", "3,4", "--axes", "b"],
        ["a_model.py:Net()", "--shape", "99999,99999"],
        ["a_model.py:Missing()", "--shape", "3,4"],
        ["missing.py:Net()", "--shape", "3,4"],
        ["a_model.py", "--shape", "3,4"],
    ],
)
def test_what_cannot_be_used_is_one_message_and_status_2(run, arguments: list[str]) -> None:  # type: ignore[no-untyped-def]
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("normscope: ")
    assert "Traceback" not in err


def test_inputs_from_text() -> None:
    assert inputs_from_text(["2,3"]).dtype == np.float32
    assert [x.shape for x in inputs_from_text(["2,3", "4,5:float64"])] == [(2, 3), (4, 5)]
    ids = inputs_from_text(["ids=50,50:int32<3"])["ids"]
    assert (ids.dtype, ids.min(), ids.max()) == (np.int32, 0, 2)
    assert set(np.unique(inputs_from_text(["9,9:bool"]))) == {False, True}


@pytest.mark.parametrize("texts", [[], ["a=2,3", "4"], ["a=2", "a=3"], ["a=2,3:int64<"], ["a"]])
def test_inputs_that_are_none(texts: list[str]) -> None:
    with pytest.raises(SpecError):
        inputs_from_text(texts)


def test_axes_need_the_name_of_an_input() -> None:
    with pytest.raises(SpecError, match="write the input before it"):
        axes_from_text(["b t", "b c"])


def test_all_axes_are_said_where_they_are_asked_for(run) -> None:  # type: ignore[no-untyped-def]
    asked = ("a_model.py:Net()", "--shape", "3,6:int64", "--axes", "b t", "--format", "json")
    for more, names in (((), {"b"}), (("--all-axes",), {"b", "t"})):
        found = json.loads(run(*asked, *more)[1])
        assert {*found["infer_axes"][0]["axes"]} == names
        assert found["samples"]["infer"]["verdict"] == "apart, by probing"
