"""What results show at a prompt and in a notebook."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import normscope as ns
from normscope.notebook import html_of, summarized, text_of

X = np.random.default_rng(0).normal(size=(6, 400)).astype(np.float32)
SPEC = ns.spec("[b] c", scale="c", bias="c", running=ns.Running(0.9, ddof=1))
SEED = Path(__file__).parents[1] / "examples" / "seed_network_full_th.json"


def centred(x):  # type: ignore[no-untyped-def]
    return x - x.mean(-1, keepdims=True)


def _gradients() -> ns.Gradients:
    y, stats = ns.normalize(X, SPEC, scale=np.ones(400), return_stats=True)
    return ns.gradients(y, X, SPEC, mean=stats.mean, rstd=stats.rstd, scale=np.ones(400))


RESULTS = {
    "Identification": lambda: ns.identify(centred, (4, 8)),
    "Scope": lambda: ns.scope(centred, X[:, :8]),
    "Fit": lambda: ns.fit("[b] c", X),
    "NormSpec": lambda: SPEC,
    "Running": lambda: SPEC.running,
    "Stats": lambda: ns.normalize(X, SPEC, return_stats=True)[1],
    "Gradients": _gradients,
    "Explanation": lambda: ns.explain("b [c]", (2, 3)),
    "Audit": lambda: ns.audit(SEED),
}


class Tags(HTMLParser):
    """The elements of a piece of HTML, which must all be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("br", "meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_can_be_read_at_a_prompt_and_in_a_notebook(name: str) -> None:
    result = RESULTS[name]()
    assert type(result).__name__ == name
    shown = repr(result)
    if name not in ("NormSpec", "Running"):  # which are shown as code
        for mark in (f"{name}(", "array(", "ModeReport(", "ModeScope(", "Layout(", "ModelGraph("):
            assert mark not in shown
    assert len(shown.splitlines()) < 100
    page = result._repr_html_()
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.text.strip()


@pytest.mark.parametrize("name", ["Identification", "Scope", "Explanation", "Audit"])
def test_a_report_is_its_own_text(name: str) -> None:
    result = RESULTS[name]()
    assert repr(result) == str(result)


@pytest.mark.parametrize(
    "stated",
    [
        SPEC,
        ns.spec("b (g [c])", g=4, eps=1e-12, measure="l2", center=False),
        ns.spec("b [c]", measure="none", eps=0),
        ns.spec("b [s...] c", sizes={"s": (2, 3)}, ddof=1, floor=0.25),
        ns.spec("[b] c", running=ns.Running(0.5, plus_eps=True, deviation=True)).inference(),
    ],
)
def test_the_repr_of_a_spec_is_code(stated: ns.NormSpec) -> None:
    names = {"NormSpec": ns.NormSpec, "Running": ns.Running}
    assert eval(repr(stated), names) == stated


def test_running_statistics_in_short() -> None:
    assert repr(ns.Running(0.9)) == "Running(decay=0.9)"
    assert repr(ns.Running(0.9, ddof=1)) == "Running(decay=0.9, ddof=1)"


def test_names_are_escaped() -> None:
    def hostile(x):  # type: ignore[no-untyped-def]
        return x * 2

    hostile.__qualname__ = "<script>alert(1)</script>"
    for found in (ns.identify(hostile, (2, 3)), ns.scope(hostile, X[:, :4])):
        assert "<script>" not in found._repr_html_()
        assert "&lt;script&gt;" in found._repr_html_()
    assert "<b>" not in html_of("<b>", [("<b>", "<b>")])


@pytest.mark.parametrize("name", ["Identification", "Fit", "NormSpec"])
def test_colours_are_those_of_the_page(name: str) -> None:
    """So that it can be read on light and on dark."""
    page = RESULTS[name]()._repr_html_()
    style = page[page.index("<style>") : page.index("</style>")]
    assert "color:inherit" in style
    assert "#" not in style


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 5)),
        np.float64(3.0).reshape(()),
        np.arange(6.0),
        np.arange(10_000_000.0)[::-3],
        np.ones((3, 1, 2), ">f4"),
        np.array([True] * 9),
    ],
)
def test_arrays_are_summarized(array: np.ndarray) -> None:  # type: ignore[type-arg]
    said = summarized(array)
    assert f"shape {array.shape}" in said
    assert len(said) < 120


def test_rows_are_aligned() -> None:
    assert text_of("a", [("b", "1"), ("long", "2")]).splitlines() == ["a", "  b     1", "  long  2"]


@pytest.mark.framework
def test_stats_of_jax_too() -> None:
    import jax

    from normscope.layers.jax import normalize

    y, stats = normalize(jax.numpy.ones((2, 3)), "b [c]", return_stats=True)
    assert repr(stats).startswith("Stats: ")
    assert "Array(" not in repr(stats)
    jax.jit(lambda x: repr(normalize(x, "b [c]", return_stats=True)[1]) and x)(y)  # traced


def test_nothing_heavy_is_needed() -> None:
    script = (
        "import sys, numpy, normscope as ns\n"
        "f = ns.fit('[b] c', numpy.ones((3, 2)))\n"
        "repr(f), f._repr_html_(), ns.spec('b [c]')._repr_html_()\n"
        "print(*sys.modules, sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not {"jinja2", "IPython", "pandas", "matplotlib", "rich"} & set(done.stdout.split())
