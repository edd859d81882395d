"""Numbers with their nouns, and functions as a person calls them."""

from __future__ import annotations

import functools
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import normscope as ns
from normscope.wording import counted, function_title


@pytest.mark.parametrize("noun", ["axis", "index", "batch", "entry", "class", "call of the layer"])
def test_one_and_many(noun: str) -> None:
    assert counted(1, noun) == f"1 {noun}"
    many = counted(2, noun)
    assert many.startswith("2 ")
    assert many != f"2 {noun}"
    assert not many.endswith(("axiss", "indexs", "batchs", "entrys", "classs", "layers"))


def _raised(function: Callable[[], object]) -> str:
    with pytest.raises(ns.NormscopeError) as error:
        function()
    return str(error.value)


SAID = {
    "axes": lambda: _raised(lambda: ns.explain("b [c]", (2, 3), axes="x")),
    "axes of identify": lambda: _raised(lambda: ns.identify(np.tanh, (2, 3), axes="x")),
    "few values": lambda: _raised(lambda: ns.normalize(np.ones((2, 1)), "b [c]", ddof=1)),
    "few values in all": lambda: _raised(lambda: ns.fit("[b] c", np.ones((1, 2)), ddof=1)),
    "explain": lambda: str(ns.explain("[c]", (1,))),
    "rank of the pattern": lambda: _raised(lambda: ns.explain("[c]", (1, 1))),
    "calls": lambda: str(ns.identify(_fails, (1, 1))),
    "scope": lambda: str(ns.scope(_fails, np.ones((1, 1)))),
    "one output": lambda: str(ns.identify(lambda x: x.sum(keepdims=True), (1,))),
    "weights": lambda: _raised(
        lambda: ns.to_torch("b [c]", (2, 1), scale="c", weights={"scale": [1, 2]})
    ),
}


def _fails(x: object) -> None:
    raise ValueError("no")


@pytest.mark.parametrize(
    "name",
    [*sorted(SAID.keys() - {"weights"}), pytest.param("weights", marks=pytest.mark.framework)],
)
def test_one_is_not_many(name: str) -> None:
    said = SAID[name]()
    for noun in ("axes", "values", "calls", "indices", "outputs", "samples", "statistics sets"):
        assert f" 1 {noun}" not in f" {said}".replace("(1 ", " 1 ").replace("\n", " ")
    assert "(s)" not in said


def test_a_lambda_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "\n\nf = lambda x: x\n\ndef make():\n    def inner(x): return x\n    return inner\n"
    )
    names: dict[str, Callable[..., object]] = {}
    exec(compile(path.read_text(), str(path), "exec"), names)
    assert function_title(names["f"]) == "the lambda at mine.py:3"
    assert function_title(names["make"]()) == "inner"
    assert function_title(eval("lambda x: x")) == "the lambda"
    assert function_title(functools.partial(names["f"], 1)).startswith("the lambda at mine.py:3")


def test_reports_show_no_marks_of_python() -> None:
    class Local:
        def __call__(self, x):  # type: ignore[no-untyped-def]
            return x - x.mean()

    x = np.arange(6.0).reshape(2, 3)
    for function in (lambda x: x - x.mean(), Local(), functools.partial(np.multiply, 2)):
        for found in (ns.identify(function, (2, 3)), ns.scope(function, x)):
            assert "<" not in str(found).splitlines()[0]
            assert "<locals>" not in str(found)


def test_progress_shows_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich reads brackets as markup, and a pattern has them."""
    import rich.console

    from normscope.progress import progress_bar

    terminal = io.StringIO()
    make = rich.console.Console
    monkeypatch.setattr(
        rich.console,
        "Console",
        lambda **_: make(file=terminal, force_terminal=True, width=100, color_system=None),
    )
    with progress_bar() as tell:
        tell('float32 "b [c]" normalize, 64 features', 1, 3)
    assert 'float32 "b [c]" normalize' in terminal.getvalue()


@pytest.mark.parametrize(("after", "shown"), [(0.05, True), (60.0, False)])
def test_progress_is_shown_where_the_work_is_long(
    monkeypatch: pytest.MonkeyPatch, after: float, shown: bool
) -> None:
    import rich.console

    from normscope.progress import progress_bar

    terminal = io.StringIO()
    make = rich.console.Console
    monkeypatch.setattr(
        rich.console, "Console", lambda **_: make(file=terminal, force_terminal=True, width=100)
    )
    with progress_bar(after=after) as tell:
        tell("asking what it normalizes", 1, 4)
        time.sleep(0.5)  # and says nothing for long
    assert ("asking what it normalizes" in terminal.getvalue()) is shown
