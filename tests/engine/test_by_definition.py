"""Without kernels: the numbers of the definition, in little memory, and how to get kernels."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from normscope import (
    KernelsError,
    explain,
    fit,
    gradients,
    normalize,
    reference,
    spec,
)
from normscope.engine import by_definition
from normscope.engine.warmup import warmup
from strategies import Case, cases, specs

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(5)

pytestmark = [
    pytest.mark.parametrize("way", ["definition"], indirect=True, scope="module"),
    pytest.mark.usefixtures("way"),
]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_definition, "PIECE", 5)


def drawn(data: st.DataObject, case: Case) -> tuple[Any, np.ndarray, dict[str, Any]]:
    """A spec, an input, and arguments."""
    stated = data.draw(specs(case))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    layout = stated.layout(case.shape)
    arguments: dict[str, Any] = {
        name: rng.normal(size=[layout.known_sizes[i] for i in layout.named(axes)])
        for name, axes in (("scale", stated.scale), ("bias", stated.bias))
        if axes is not None
    }
    if data.draw(st.booleans()):
        arguments["mask"] = rng.random(case.shape) < 0.7
    return stated, rng.normal(0.5, 2, case.shape), arguments


@given(st.data())
@settings(max_examples=200)
def test_an_array_of_one_piece_is_what_the_definition_says(data: st.DataObject) -> None:
    stated, x, arguments = drawn(data, data.draw(cases()))
    np.testing.assert_array_equal(
        normalize(x, stated, **arguments), reference(x, stated, **arguments)
    )


@given(st.data())
@settings(max_examples=300)
def test_pieces_change_nothing_but_rounding(data: st.DataObject) -> None:
    stated, x, arguments = drawn(data, data.draw(cases()))
    order = data.draw(st.permutations(range(x.ndim)))
    laid = x.transpose(order).copy().transpose(np.argsort(order))
    whole, stats = normalize(x, stated, return_stats=True, **arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_definition, "PIECE", data.draw(st.integers(1, 20)))
        found, its_stats = normalize(laid, stated, return_stats=True, **arguments)
    near_guard = np.abs(stats.rstd * (stated.unit_below or 0.0) - 1) < 1e-9
    if near_guard.any():
        return
    for name in ("mean", "var", "rstd"):
        np.testing.assert_allclose(
            getattr(its_stats, name), getattr(stats, name), rtol=1e-9, atol=1e-12
        )
    steep = np.abs(stats.rstd[np.isfinite(stats.rstd)]).max(initial=1)
    np.testing.assert_allclose(found, whole, rtol=1e-9, atol=1e-9 * steep)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_that_a_call_can_be_given(dtype: type) -> None:
    x = RNG.normal(1, 2, (4, 6, 5, 3)).astype(dtype)
    residual = RNG.normal(size=x.shape).astype(dtype)
    stated = spec("b (g [c]) [h] w", g=3, scale="g c", bias="w", scale_shift=1)
    learned = {"scale": RNG.normal(size=(3, 2)), "bias": RNG.normal(size=3)}
    mean, var = RNG.normal(size=(4, 3, 3)), RNG.random((4, 3, 3))
    for given_stats in ({}, {"mean": mean, "var": var}):
        y = reference(x + residual, stated, **learned, **given_stats)
        for slope in (0.2, 0.0, -1.0):
            out = x.copy()
            found = normalize(
                out, stated, **learned, **given_stats, residual=residual, negative_slope=slope,
                out=out,
            )  # fmt: skip
            assert found is out
            np.testing.assert_allclose(out, np.where(y > 0, y, slope * y), rtol=1e-5, atol=1e-6)


def test_integers_and_other_byte_orders() -> None:
    x = RNG.integers(0, 99, (5, 8))
    for other in (x.astype(np.int64), x.astype(">f8"), x.astype("f8")[:, ::-1][:, ::-1]):
        np.testing.assert_array_equal(normalize(other, "b [c]"), reference(x, "b [c]"))


@pytest.mark.parametrize("pattern", ["b [c h w]", "b h [w] c", "(p [b]) h w c"])
def test_what_else_is_in_the_batch_changes_no_bit(
    pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_definition, "PIECE", 50)
    stated = spec(pattern, sizes={"b": 1} if "p" in pattern else {})
    x = RNG.normal(size=(7, 6, 5, 9))
    together = normalize(x, stated)
    for number in range(len(x)):
        np.testing.assert_array_equal(
            normalize(x[number : number + 1], stated)[0], together[number]
        )


@pytest.mark.parametrize(
    ("pattern", "shape"),
    [
        ("[...]", (16, 256, 1024)),
        ("[b] c", (1 << 20, 4)),
        ("[b] c h w", (16, 64, 64, 64)),
        ("b ([c] g)", (16, 1 << 18)),
        ("b [h w] c", (16, 128, 32, 64)),
        ("b [c]", (1 << 16, 64)),
        ("b [c]", (4, 1 << 20)),
    ],
)
def test_little_memory_is_needed(pattern: str, shape: tuple[int, ...]) -> None:
    x = np.zeros(shape, np.float32)  # 16 MiB
    x.reshape(-1)[::3] = 1
    stated = spec(pattern, sizes={"g": 4} if "g" in pattern else {})
    for call in (
        lambda: normalize(x, stated, out=x),
        lambda: fit(stated, x),
    ):
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < (12 << 20) + 16 * 8 * (stated.layout(shape).num_sets or 0)


def test_what_needs_kernels_says_why_there_are_none() -> None:
    x = np.ones((2, 3))
    for call in (
        lambda: gradients(x, x, "b [c]", mean=np.ones(2), rstd=np.ones(2)),
        lambda: warmup(["float32"]),
    ):
        with pytest.raises(KernelsError, match="there are none: NORMSCOPE_LEVEL=none is set"):
            call()


BARE = f"""
import os
import sys
import _thread

os.environ["NORMSCOPE_LEVEL"] = "none"  # as where there are none for the platform

class Refused:
    def __init__(self, *names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"no module {{name}}", name=name)

sys.meta_path.insert(0, Refused("ctypes", "_ctypes", "multiprocessing", "fcntl", "mmap", "signal"))

def refused(*arguments, **more):
    raise RuntimeError("can't start new thread")

_thread.start_new_thread = refused

import numpy as np
import normscope as ns

x = np.array([[1.0, 2, 3], [4, 5, 7]])
print(ns.normalize(x, "b [c]").round(3).tolist())
print(ns.fit("[b] c", [x[:1], x[1:]]).mean)
print("by the definition" in str(ns.explain("b [c]", shape=(2, 3), dtype="float32")))
print(ns.identify(lambda x: x - x.mean(1, keepdims=True), (6, 5)).train.pattern)
audit = ns.audit({str(ROOT / "examples" / "seed_network_full_th.json")!r})
print(len(audit.layers), "<html" in audit.to_html())
ns.set_num_threads(2)
ns.set_buffer_limit(0)
print(sorted({{"ctypes", "multiprocessing", "fcntl", "mmap", "signal"}} & set(sys.modules)))
"""


def test_a_process_without_kernels_threads_and_native_calls() -> None:
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "[[-1.225, 0.0, 1.225], [-1.069, -0.267, 1.336]]",
        "[2.5 3.5 5. ]",
        "True",
        "b [d1]",
        "8 True",
        "[]",
    ]


def test_explain_says_which_of_the_two_runs() -> None:
    explanation = explain("b [c]", shape=(2, 3), dtype="float32")
    assert explanation.plan is None
    assert "runs: by the definition, with NumPy" in str(explanation)
    assert "(NORMSCOPE_LEVEL=none is set)." in str(explanation)
    assert "On NumPy" not in str(explain("b [c]", shape=(2, 3)))
