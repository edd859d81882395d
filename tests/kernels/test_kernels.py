"""The kernels against the reference: every field, memory layout, dtype, mask and fusion."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from unittest.mock import patch

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from normscope import normalize, reference, spec
from normscope.engine import plan, threads
from normscope.engine.forward_call import _calls
from normscope.engine.threads import set_num_threads
from normscope.kernels.calls import ForwardCall
from strategies import cases, specs

DTYPES = [np.float64, np.float32, np.float16, ml_dtypes.bfloat16]

# One of each way through the kernels: whole and split sets, rows and columns, folded columns.
LARGE = {
    "batch, channels first": ("[b] c [h w]", (4, 3, 128, 130), {}, "c"),
    "batch, small maps": ("[b] c [h w]", (40, 70, 7, 7), {}, "c"),
    "batch, channels last": ("[b h w] c", (3, 128, 130, 5), {}, "c"),
    "batch, many channels last": ("[b h w] c", (3, 64, 65, 40), {}, "c"),
    "instance, channels last": ("b [h w] c", (2, 96, 97, 36), {}, "c"),
    "group, channels first": ("b (g [c]) [h w]", (2, 12, 80, 81), {"g": 3}, "g c"),
    "group, channels last": ("b [h w] (g [c])", (2, 80, 81, 48), {"g": 12}, "g c"),
    "layer, last axis": ("... [c]", (3, 50, 700), {}, "c"),
    "layer, axis 1": ("b [c] h w", (2, 40, 70, 71), {}, "c"),
    "layer, all": ("b [c h w]", (2, 40, 70, 71), {}, "c h w"),
    "everything": ("[b c h w]", (2, 40, 70, 71), {}, "c"),
}


def problem(name: str, dtype: type = np.float32) -> tuple:
    pattern, shape, sizes, along = LARGE[name]
    stated = spec(pattern, scale=along, bias=along, **sizes)
    layout = stated.layout(shape)
    size = [layout.known_sizes[i] for i in layout.named(along)]
    rng = np.random.default_rng(5)
    x = rng.normal(3, 2, shape).astype(dtype)
    return x, stated, {"scale": rng.normal(size=size), "bias": rng.normal(size=size)}


@contextmanager
def written(past_the_caches: bool) -> Iterator[None]:
    """Outputs are streamed, which otherwise only large ones are; or none is."""
    _calls.clear()  # what was prepared before
    with patch.object(plan, "STREAM_BYTES", -1 if past_the_caches else 1 << 62):
        yield
    _calls.clear()


def nearest(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Whether each number is the one of its dtype that is nearest to the exact value.

    What is computed in float64 differs from that by some roundings of summands of about 1.
    """
    dtype = found.dtype.type
    distance = np.abs(found.astype(np.float64) - exact)
    with np.errstate(over="ignore"):
        neighbours = [np.nextafter(found, dtype(side)).astype(np.float64) for side in (9e4, -9e4)]
    others = np.minimum(*(np.abs(n - exact) for n in neighbours))
    return distance <= others * (1 + 1e-6) + 4 * np.finfo(np.float64).eps


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_large_arrays_are_rounded_once(name: str, dtype: type) -> None:
    x, stated, learned = problem(name, dtype)
    exact = reference(x, stated, **learned)
    if dtype is np.float64:
        np.testing.assert_allclose(normalize(x, stated, **learned), exact, rtol=1e-11, atol=1e-13)
    else:
        y = normalize(x, stated, **learned)
        assert y.dtype == dtype
        assert nearest(y, exact).all()


@given(st.data())
@settings(max_examples=150)
def test_any_spec_in_any_memory_layout(data: st.DataObject) -> None:
    case = data.draw(cases())
    stated = data.draw(specs(case))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    order = data.draw(st.permutations(range(len(case.shape))))
    steps = data.draw(
        st.lists(st.sampled_from([1, 2, -1]), min_size=len(order), max_size=len(order))
    )
    wide = [case.shape[i] * abs(steps[i]) for i in order]
    x = rng.normal(1, 2, wide).astype(np.float32).transpose(np.argsort(order))
    x = x[tuple(slice(None, None, step) for step in steps)]
    layout = stated.layout(x.shape)
    arguments = {
        name: rng.normal(size=[layout.known_sizes[i] for i in layout.named(axes)])
        for name, axes in (("scale", stated.scale), ("bias", stated.bias))
        if axes is not None
    }
    if data.draw(st.booleans()) and not stated.ddof:
        arguments["mask"] = rng.random(x.shape) < 0.7
    other = rng.normal(size=x.shape).astype(np.float32)
    summed = data.draw(st.booleans())
    exact = reference(x + other if summed else x, stated, **arguments)
    slope = data.draw(st.sampled_from([None, 0.0, 0.1]))
    if slope is not None:
        exact = np.where(exact > 0, exact, exact * slope)
    with written(data.draw(st.booleans())):
        found = normalize(
            x, stated, **arguments, residual=other if summed else None, negative_slope=slope
        )
    np.testing.assert_allclose(found, exact, rtol=3e-7, atol=1e-7)


SPECIAL = [np.inf, -np.inf, np.nan, 0.0, 1.5, -1.5, 6e4, -6e4, 1e-7, -1e-7, 1e30]


@pytest.mark.framework
@pytest.mark.parametrize("pattern", ["b [c]", "[b] c", "[b h] c", "b c [h w]", "b [h] c w"])
@pytest.mark.parametrize("slope", [0, 0.1, 1, -0.5])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_an_activation_of_any_number_is_that_of_torch(
    dtype: type, slope: float, pattern: str
) -> None:
    import torch
    from torch.nn import functional

    with np.errstate(over="ignore"):
        x = np.resize(SPECIAL, (13, 11, 3, 2)[: len(pattern.split())]).astype(dtype)
    stated = spec(pattern, eps=0)
    sets = stated.layout(x.shape).num_sets
    y = normalize(x, stated, mean=np.zeros(sets), var=np.ones(sets), negative_slope=slope)
    activate = functional.leaky_relu if slope else lambda x, _: functional.relu(x)
    np.testing.assert_array_equal(y, activate(torch.from_numpy(x), slope).numpy())


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_bitwise_the_same_for_any_number_of_threads(name: str) -> None:
    x, stated, learned = problem(name)
    found = []
    for number in (1, 2, 3, 8):
        set_num_threads(number)
        found.append(normalize(x, stated, **learned).tobytes())
    set_num_threads(None)
    assert len(set(found)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("first", [0, 1, 8])
def test_bitwise_the_same_past_the_caches(name: str, dtype: type, first: int) -> None:
    """Wherever in a line of memory the output begins, and next to it nothing is written."""
    x, stated, learned = problem(name, dtype)
    usual = normalize(x, stated, **learned)
    around = np.full(x.size + 16, 7, dtype)
    out = around[first : first + x.size].reshape(x.shape)
    for number in (1, 2, 3, 8):
        set_num_threads(number)
        out[...] = 0
        with written(True):
            normalize(x, stated, **learned, out=out)
        assert out.tobytes() == usual.tobytes()
    set_num_threads(None)
    assert (around[:first] == 7).all()
    assert (around[first + x.size :] == 7).all()


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_bitwise_the_same_wherever_in_a_line_x_and_out_begin(name: str, dtype: type) -> None:
    """Columns are cut into tiles where lines of the output begin; statistics show every bit."""
    x, stated, learned = problem(name, dtype)
    usual, stats = normalize(x, stated, **learned, return_stats=True)
    for first in range(0, 40, 3):
        read, written_to = (
            np.zeros(x.size + 40, dtype)[n : n + x.size] for n in (first // 2, first)
        )
        moved, out = read.reshape(x.shape), written_to.reshape(x.shape)
        moved[...] = x
        _, found = normalize(moved, stated, **learned, out=out, return_stats=True)
        assert out.tobytes() == usual.tobytes()
        for one, other in zip(found, stats, strict=True):
            assert one.tobytes() == other.tobytes()


def test_only_large_outputs_are_streamed_and_none_in_place() -> None:
    streamed = []

    def seen(kernel: int, call: ForwardCall, items: int, size: int) -> None:
        streamed.append(bool(call.streams))
        run(kernel, call, items, size)

    run = threads.run
    x = np.ones((48, 1024, 256), np.float32)  # 48 MiB
    with patch.object(threads, "run", seen):
        y = normalize(x, "b h [c]")
        normalize(x[:32], "b h [c]")
        normalize(x, "b h [c]", out=x)
    assert streamed == [True, False, False]
    np.testing.assert_array_equal(y, 0)


@pytest.mark.parametrize("number", [1, 2, 3, 8])
@pytest.mark.parametrize("name", [n for n in LARGE if LARGE[n][0].startswith(("b ", "..."))])
def test_a_sample_alone_is_bitwise_the_sample_in_a_batch(name: str, number: int) -> None:
    x, stated, learned = problem(name)
    batch = np.concatenate([x, x * 3 + 1] * 5)
    set_num_threads(number)
    together = normalize(batch, stated, **learned, out=np.empty_like(batch))
    alone = [normalize(batch[i : i + 1], stated, **learned) for i in range(len(batch))]
    set_num_threads(None)
    np.testing.assert_array_equal(together, np.concatenate(alone))


@pytest.mark.parametrize("name", LARGE)
def test_bitwise_the_same_with_out_in_place_and_from_given_statistics(name: str) -> None:
    x, stated, learned = problem(name)
    y, stats = normalize(x, stated, **learned, return_stats=True)
    out = np.empty_like(x)
    assert normalize(x, stated, **learned, out=out) is out
    np.testing.assert_array_equal(out, y)
    np.testing.assert_array_equal(
        normalize(x, stated, **learned, mean=stats.mean, var=stats.var), y
    )
    own = x.copy()
    normalize(own, stated, **learned, out=own)
    np.testing.assert_array_equal(own, y)


OVERLAPS = {
    "shifted": lambda a: (a[:-1], a[1:]),
    "transposed": lambda a: (a[:-1].T, a[1:].T),
    "sliced": lambda a: (a[:-1, ::2], a[1:, ::2]),
    "reversed": lambda a: (a[:, ::-1], a),
    "identical": lambda a: (a.T, a.T),
}


@pytest.mark.slow
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_an_output_that_overlaps_the_input(overlap: str) -> None:
    stated, rng = spec("b [c]"), np.random.default_rng(0)
    for summed in (False, True):
        x, out = OVERLAPS[overlap](rng.normal(size=(6, 8)))
        other = rng.normal(size=x.shape)
        if summed:
            x, other = other, x
        exact = reference(x + other if summed else x, stated)
        normalize(x, stated, residual=other if summed else None, out=out)
        np.testing.assert_allclose(out, exact, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("place", ["new", "out", "in place"])
def test_numbers_in_the_other_byte_order(order: str, place: str) -> None:
    stated = spec("b [c]")
    x = (
        np.random.default_rng(0)
        .normal(size=(5, 7))
        .astype(np.dtype(float).newbyteorder(), order=order)
    )
    exact = reference(x, stated)
    out = {"new": None, "out": np.zeros_like(x, order="C"), "in place": x}[place]
    y = normalize(x, stated, out=out)
    assert y.dtype == x.dtype
    np.testing.assert_allclose(y, exact, rtol=1e-13, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_residual_is_exactly_a_sum_before(name: str, dtype: type) -> None:
    x, stated, learned = problem(name, dtype)
    other = np.random.default_rng(1).normal(size=x.shape).astype(dtype)
    np.testing.assert_array_equal(
        normalize(x, stated, **learned, residual=other), normalize(x + other, stated, **learned)
    )


@pytest.mark.parametrize("name", LARGE)
def test_a_mask_of_true_changes_almost_nothing_and_hides_what_it_excludes(name: str) -> None:
    x, stated, learned = problem(name)
    mask = np.random.default_rng(2).random(x.shape) < 0.8
    hidden = np.where(mask, x, np.nan)
    shown = normalize(x, stated, **learned, mask=mask)
    found = normalize(hidden, stated, **learned, mask=mask)
    np.testing.assert_array_equal(found[mask], shown[mask])
    assert np.isnan(found[~mask]).all()
    np.testing.assert_allclose(
        shown, reference(x, stated, **learned, mask=mask), rtol=3e-7, atol=3e-7
    )


@pytest.mark.parametrize("name", LARGE)
def test_constant_input_gives_exactly_the_bias(name: str) -> None:
    x, stated, learned = problem(name)
    y = normalize(np.full_like(x, 0.1), stated, **learned)
    zero = normalize(np.zeros_like(x), stated, **learned)
    np.testing.assert_array_equal(y, zero)


@pytest.mark.parametrize("name", LARGE)
def test_nan_stays_in_its_set(name: str) -> None:
    x, stated, _ = problem(name)
    clean = normalize(x, stated)
    layout = stated.layout(x.shape)
    x[(0,) * x.ndim] = np.nan
    y = normalize(x, stated)
    touched = np.isnan(y).reshape(layout.known_sizes)
    per_set = touched.all(layout.shared)
    assert per_set.sum() == 1
    assert touched.any(layout.shared).sum() == 1
    np.testing.assert_array_equal(y[~np.isnan(y)], clean[~np.isnan(y)])


@pytest.mark.parametrize("pattern", ["b [c]", "[b] c"])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_16_bit_results_are_rounded_once(dtype: type, pattern: str) -> None:
    """Values next to the middle between two numbers of 16 bits: float32 would round them to it."""
    numbers = np.array([1.0, 1.5, -3.0, 1000.0, 6e-8, 65504.0 if dtype is np.float16 else 3e38])
    base = numbers.astype(dtype).astype(np.float64)
    with np.errstate(over="ignore"):
        above = np.nextafter(numbers.astype(dtype), dtype(np.inf)).astype(np.float64)
    middle = (base + np.where(np.isfinite(above), above, base)) / 2
    values = np.array([*middle, *(middle * (1 + 1e-12)), *(middle * (1 - 1e-12)), np.nan, np.inf])
    stated = spec(pattern, measure="none", bias="c")
    zeros = np.zeros((2, len(values)), dtype)
    sets = stated.layout(zeros.shape).num_sets
    found = normalize(zeros, stated, bias=values, mean=np.zeros(sets))
    wanted = [_nearest(value, dtype) for value in values]
    np.testing.assert_array_equal(found.astype(np.float64), [wanted, wanted])


def _nearest(value: float, dtype: type) -> float:
    """The nearest number of a 16-bit dtype, ties to even, by looking at all of them."""
    if not np.isfinite(value):
        return float(value)
    with np.errstate(invalid="ignore"):  # some of them are signalling NaNs
        every = np.arange(1 << 16, dtype=np.uint16).view(dtype).astype(np.float64)
    finite = np.isfinite(every)
    codes = np.flatnonzero(finite)
    distance = np.abs(every[finite] - value)
    best = codes[distance == distance.min()]
    even = best[best % 2 == 0]
    return float(every[(even if len(even) else best)[0]])


def test_a_thousand_calls_from_many_python_threads_at_once() -> None:
    problems = [problem(name) for name in LARGE]
    wanted = [normalize(x, stated, **learned).tobytes() for x, stated, learned in problems]
    start = threading.Barrier(16)
    set_num_threads(3)

    def same(number: int) -> bool:
        if number < 16:
            start.wait()
        which = number % len(problems)
        x, stated, learned = problems[which]
        out = np.empty_like(x) if number % 3 == 0 else None
        return normalize(x, stated, **learned, out=out).tobytes() == wanted[which]

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(same, range(1000)))
    set_num_threads(None)
    assert all(found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_after_a_fork() -> None:
    """The child of a process whose threads are at work has none of them, and makes its own."""
    code = """
import os, sys, threading, warnings
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from normscope import normalize, set_num_threads
warnings.simplefilter("ignore")
set_num_threads(3)
x = np.random.default_rng(0).normal(size=(3, 128, 130, 5)).astype(np.float32)
call = lambda _: normalize(x, "[b h w] c").tobytes()
wanted = call(0)
stop = threading.Event()
def work():
    while not stop.is_set():
        call(0)
busy = [threading.Thread(target=work) for _ in range(2)]
for thread in busy:
    thread.start()
for _ in range(3):
    child = os.fork()
    if child == 0:
        with ThreadPoolExecutor(16) as pool:
            same = all(found == wanted for found in pool.map(call, range(100)))
        os._exit(0 if same else 1)
    _, status = os.waitpid(child, 0)
    if status:
        break
stop.set()
for thread in busy:
    thread.join()
sys.exit(os.waitstatus_to_exitcode(status))
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
