"""Calls that are found again: only for what they were prepared for, whatever came before."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from normscope import Gradients, NormSpec, SpecError, gradients, normalize, spec
from normscope.engine import backward_call, forward_call, kept_calls
from normscope.engine.kept_calls import key_of

RNG = np.random.default_rng(3)
SHAPE = (6, 40)


@pytest.fixture(autouse=True)
def _nothing_before() -> Iterator[None]:
    _forget()
    yield
    _forget()


def _forget() -> None:
    forward_call._calls.clear()
    backward_call._calls.clear()


def arrays(dtype: Any = np.float32) -> dict[str, Any]:
    """The arguments of `gradients` for layer norm with a scale."""
    x, dy = (RNG.normal(1, 2, SHAPE).astype(dtype) for _ in range(2))
    _, stats = normalize(x, "b [c]", return_stats=True)
    scale = RNG.normal(1, 0.3, 40).astype(dtype)
    return {"dy": dy, "x": x, "mean": stats.mean, "rstd": stats.rstd, "scale": scale}


def differentiate(given: dict[str, Any], stated: NormSpec | None = None) -> Gradients:
    return gradients(pattern=stated or spec("b [c]", scale="c", bias="c"), **given)


def same(one: Gradients, other: Gradients) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a is None) == (b is None)
        assert a is None or b is None or a.dtype == b.dtype


def misaligned(array: np.ndarray) -> np.ndarray:
    memory = np.zeros(array.nbytes + 1, np.uint8)
    copy = memory[1:].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


CHANGES = {
    "step": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "order": np.asfortranarray,
    "foreign": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "misaligned": misaligned,
    "subclass": lambda a: a.view(np.recarray),
    "list": lambda a: a.tolist(),
    "wider": lambda a: a.astype(np.longdouble),
    "flat": np.ravel,
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
}
FITTING = [
    (name, change)
    for change in CHANGES
    for name in ("dy", "x", "mean", "rstd", "scale")
    if name not in ("dy", "x") or change not in ("list", "wider", "flat", "foreign")
]


@pytest.mark.parametrize(("name", "change"), FITTING)
def test_a_call_for_other_forms_of_the_same_values(name: str, change: str) -> None:
    given, stated = arrays(), spec("b [c]", scale="c", bias="c")
    other = {**given, name: CHANGES[change](given[name])}
    wanted = differentiate(other, stated)
    _forget()
    expected = differentiate(given, stated)
    np.testing.assert_allclose(wanted.x, expected.x, rtol=1e-5, atol=1e-6)
    for _ in range(2):
        same(differentiate(other, stated), wanted)
        same(differentiate(given, stated), expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ">f4", np.float32])
def test_dtypes_in_turn(dtype: Any) -> None:
    stated = spec("b [c]", scale="c", bias="c")
    one, other = arrays(), arrays(dtype)
    expected = differentiate(other, stated)
    _forget()
    for _ in range(2):
        differentiate(one, stated)
        same(differentiate(other, stated), expected)


def test_what_is_there_and_what_is_not() -> None:
    stated, given = spec("b [c]", scale="c", bias="c"), arrays()
    mask = RNG.random(SHAPE) < 0.8
    ways = [
        {},
        {"scale": None},
        {"mask": mask},
        {"mask": np.asfortranarray(mask)},
        {"mask": mask[:1]},
        {"out": np.empty(SHAPE, np.float32)},
    ]
    expected = []
    for way in ways:
        _forget()
        expected.append(differentiate({**given, **way}, stated))
    for _ in range(2):
        for way, wanted in zip(ways, expected, strict=True):
            same(differentiate({**given, **way}, stated), wanted)


def test_each_result_has_memory_of_its_own() -> None:
    given = arrays()
    one, two = differentiate(given), differentiate(given)
    found = [*one, *two]
    for n, a in enumerate(found):
        for b in found[n + 1 :]:
            assert a is not None
            assert b is not None
            assert not np.shares_memory(a, b)
    assert not any(np.shares_memory(a, b) for a in found if a is not None for b in given.values())


def test_an_out_that_cannot_be_written_is_refused_each_time() -> None:
    given = arrays()
    out = np.empty(SHAPE, np.float32)
    differentiate({**given, "out": out})
    out.flags.writeable = False
    for _ in range(2):
        with pytest.raises(SpecError, match="out is read-only"):
            differentiate({**given, "out": out})
        with pytest.raises(SpecError, match="out is read-only"):
            normalize(given["x"], "b [c]", out=out)
    out.flags.writeable = True
    assert differentiate({**given, "out": out}).x is out


@pytest.mark.parametrize("name", ["dy", "x"])
def test_in_place_after_a_call_with_another_out(name: str) -> None:
    given = arrays()
    expected = differentiate({**given, "out": np.empty(SHAPE, np.float32)})
    copy = given[name].copy()
    found = differentiate({**given, name: copy, "out": copy})
    assert found.x is copy
    same(found, expected)


@pytest.mark.parametrize("name", ["dy", "x", "mean", "rstd", "scale"])
def test_an_out_that_overlaps_after_one_that_does_not(name: str) -> None:
    given = arrays(np.float64)
    memory = np.zeros(3 * 240)
    expected = differentiate({**given, "out": memory[480:].reshape(SHAPE)})
    size = given[name].size
    shifted = memory[3 : 3 + size].reshape(given[name].shape)
    shifted[...] = given[name]
    same(differentiate({**given, name: shifted, "out": memory[:240].reshape(SHAPE)}), expected)


def test_values_of_rstd_are_looked_at_each_time() -> None:
    """A divisor that is 1 by the guard has no derivative; which ones are depends on the values."""
    stated = spec("b [c]", eps=0, unit_below=0.5)
    for spread in (1.0, 0.1, 1.0, 0.1):
        x = np.array([[1.0, 2, 3, 4], [4, 3, 2, 1]]) * spread
        x[1] *= 2 / np.sqrt(5) / spread  # the divisor of the second set is 1 by itself
        dy = np.arange(8.0).reshape(2, 4) ** 2
        _, stats = normalize(x, stated, return_stats=True)
        found = gradients(dy, x, stated, mean=stats.mean, rstd=stats.rstd).x
        _forget()
        anew = gradients(dy, x, stated, mean=stats.mean, rstd=stats.rstd).x
        np.testing.assert_array_equal(found, anew)
        if spread == 0.1:
            np.testing.assert_allclose(found[0], dy[0] - dy[0].mean())


def test_a_mask_is_looked_at_each_time() -> None:
    given = {**arrays(), "mask": np.ones(SHAPE, bool)}
    differentiate(given)
    given["mask"][2] = False
    found = differentiate(given)
    _forget()
    same(found, differentiate(given))


def test_a_spec_whose_identity_is_another_ones() -> None:
    given = {**arrays(), "scale": None}
    wanted = {
        center: differentiate(given, NormSpec("b [c]", center=center)).x for center in (True, False)
    }
    for n in range(60):  # each is freed before the next is made, if nothing keeps it
        center = n % 2 == 0
        found = differentiate(given, NormSpec("b [c]", center=center)).x
        np.testing.assert_array_equal(found, wanted[center])
        gc.collect(0)


def test_fields_are_told_apart_by_value_and_by_type() -> None:
    given = {name: value for name, value in arrays().items() if name != "scale"}
    for eps in (1e-5, 1.0, 1e-5):
        found = gradients(pattern="b [c]", eps=eps, **given)
        same(found, gradients(pattern=spec("b [c]", eps=eps), **given))
    gradients(pattern="b [c]", center=True, **given)
    with pytest.raises(SpecError):
        gradients(pattern="b [c]", center=1, **given)


def test_only_so_many_calls_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_calls, "MOST_CALLS", 3)
    given = arrays()
    for _ in range(5):
        differentiate(given)
        normalize(given["x"], spec("b [c]"))
        assert len(backward_call._calls) <= 3
        assert len(forward_call._calls) <= 3


def test_what_cannot_be_told_by_its_form_has_no_key() -> None:
    x = np.ones(3)

    class Text(str):
        __slots__ = ()

    assert key_of("b [c]", {}, x, None) == key_of("b [c]", {}, x.copy(), None)
    assert key_of("b [c]", {}, x, None) != key_of("b [c]", {}, None, x)
    assert key_of("b [c]", {}, [1.0]) is None
    assert key_of("b [c]", {}, x.view(np.recarray)) is None
    assert key_of(Text("b [c]"), {}, x) is None
    assert key_of("b [c]", {"g": (1, 2)}, x) is None
    assert key_of("b [c]", {"g": 1}, x) != key_of("b [c]", {"g": True}, x)


@pytest.mark.parametrize("pattern", ["b [c]", "[b] c"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_parameters_in_float32_give_the_bits_of_those_in_float64(pattern: str, dtype: Any) -> None:
    """Arrays of few elements take parameters as they come, others have them converted."""
    given = arrays(dtype)
    stated = spec(pattern, scale="c", bias="c")
    wide = given["scale"].astype(np.float64)
    narrow = given["scale"].astype(np.float32)
    y, stats = normalize(given["x"], stated, scale=narrow, bias=narrow, return_stats=True)
    np.testing.assert_array_equal(y, normalize(given["x"], stated, scale=wide, bias=wide))
    known = {**given, "mean": stats.mean, "rstd": stats.rstd}
    found = (differentiate({**known, "scale": scale}, stated) for scale in (narrow, wide))
    same(*found)
