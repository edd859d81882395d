"""The plan: which loop nest, and that no nest reads anything but each element once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from normscope import spec
from normscope.engine.loops import atomic_strides
from normscope.engine.plan import Plan, plan
from normscope.kernels.contract import LINE, WIDEST
from strategies import cases


def planned(
    pattern: str, shape: tuple[int, ...], *, scale: str | None = None, x: np.ndarray | None = None,
    **sizes: int,
) -> Plan:  # fmt: skip
    stated = spec(pattern, scale=scale, **sizes)
    layout = stated.layout(shape)
    array = np.empty(shape, np.float32) if x is None else x
    strides = atomic_strides(layout, array.strides, array.itemsize)
    out = np.empty_like(array)
    axes = layout.named(scale) if scale else ()
    written = atomic_strides(layout, out.strides, out.itemsize)
    return plan(layout, [strides, written, None, None], [axes, axes], array.itemsize)


@pytest.mark.parametrize(
    ("pattern", "shape", "sizes", "scale", "nest"),
    [
        ("[b] c [h w]", (32, 128, 56, 56), {}, "c", "rows: keep 128, share 32, share 3136"),
        ("[b] c [h w]", (4, 512, 7, 7), {}, "c", "rows: keep 512, share 4, share 49"),
        (
            "[b] c [h w]", (32, 512, 7, 7), {}, "c",
            "columns: share 32, keep 25088 folded (1, -1, 49)",
        ),
        ("[b h w] c", (32, 56, 56, 128), {}, "c", "columns: share 100352, keep 128"),
        ("b c [h w]", (32, 128, 56, 56), {}, "c", "rows: keep 32, keep 128, share 3136"),
        ("b c [h w]", (32, 128, 56, 56), {}, None, "rows: keep 4096, share 3136"),
        ("b [h w] c", (32, 56, 56, 128), {}, "c", "columns: keep 32, share 3136, keep 128"),
        ("b h w [c]", (32, 56, 56, 128), {}, "c", "rows: keep 100352, share 128"),
        ("b [c] h w", (32, 128, 56, 56), {}, "c", "columns: keep 32, share 128, keep 3136"),
        ("b [c h w]", (32, 128, 56, 56), {}, "c h w", "rows: keep 32, share 401408"),
        (
            "b (g [c]) [h w]", (32, 128, 56, 56), {"g": 32}, "g c",
            "rows: keep 32, keep 32, share 4, share 3136",
        ),
        (
            "b [h w] (g [c])", (32, 56, 56, 128), {"g": 32}, "g c",
            "columns: keep 32, share 3136, keep 128 folded (1, -1, 4)",
        ),
        ("[b h w] c", (8, 64, 64, 3), {}, "c", "columns: share 256, keep 384 folded (128, -1, 1)"),
        (
            "[a] b [c] d [e] f", (2, 3, 4, 5, 6, 70), {}, None,
            "columns: keep 3, keep 5, share 2, share 4, share 6, keep 70",
        ),
    ],
)  # fmt: skip
def test_the_usual_normalizations_are_short_nests(
    pattern: str, shape: tuple[int, ...], sizes: dict[str, int], scale: str | None, nest: str
) -> None:
    assert str(planned(pattern, shape, scale=scale, **sizes)).split(";")[0] == nest


def test_a_transposed_array_has_the_nest_of_its_memory() -> None:
    x = np.empty((32, 128, 28, 28), np.float32)
    turned = planned("[b h w] c", (32, 28, 28, 128), x=x.transpose(0, 2, 3, 1), scale="c")
    assert str(turned) == str(planned("[b] c [h w]", x.shape, x=x, scale="c"))


def test_a_parameter_that_would_break_the_inner_loop_is_written_out() -> None:
    found = planned("b [h w c]", (8, 64, 64, 3), scale="c")
    assert found.loops[-1].size >= 128
    assert found.parameters[0] == (2, 3)
    assert planned("b [h w c]", (8, 64, 64, 256), scale="c").parameters[0] == (3,)


def test_work_is_cut_by_size_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from normscope.engine.threads import set_num_threads

    found = []
    for number in (1, 7):
        set_num_threads(number)
        found.append(str(planned("[b] c [h w]", (8, 4, 200, 200))))
    set_num_threads(None)
    assert found[0] == found[1]


@pytest.mark.parametrize("pattern", ["b [c]", "[b] c"])
@pytest.mark.parametrize("rows", [64, 512, 2048])
def test_from_mid_sizes_on_there_is_work_for_several_threads(pattern: str, rows: int) -> None:
    assert planned(pattern, (rows, 768)).items >= 8
    assert planned(pattern, (4, 768)).items == 1


@pytest.mark.parametrize("channels", [*range(1, 64, 3), 799, 801, 863, 1601, 2000, 4096])
@pytest.mark.parametrize("pattern", ["[b h] c", "b [h] c", "[b] c [h]", "b [h] (g [c])"])
def test_no_tile_is_wider_than_scratch_memory(pattern: str, channels: int) -> None:
    shape = (
        (3, 700, channels) if pattern[-1] != "]" or "g" in pattern else (3, 700, channels % 60 + 1)
    )
    found = planned(pattern, shape, **({"g": 1} if "g" in pattern else {}))
    lead = LINE // 2 - 1 if found.outer * found.inner == 1 else 0  # of 16 bits: see `lead_of`
    assert found.tile + lead <= WIDEST


@given(st.data())
@settings(max_examples=200)
def test_each_element_is_visited_once_and_falls_into_its_set(data: st.DataObject) -> None:
    case = data.draw(cases())
    stated = spec(case.pattern, sizes=case.sizes)
    layout = stated.layout(case.shape)
    order = data.draw(st.permutations(range(len(case.shape))))
    x = np.empty([case.shape[i] for i in order], np.float32).transpose(np.argsort(order))
    strides = atomic_strides(layout, x.strides, 4)
    found = plan(layout, [strides, strides, None, None], [(), ()], 4)

    offset, number = np.zeros(1, int), np.zeros(1, int)
    for position, loop in enumerate(found.loops):
        steps = np.arange(loop.size)
        offset = np.add.outer(offset, steps * loop.strides[0]).ravel()
        own = steps * loop.strides[6]
        if found.mode == "columns" and position == len(found.loops) - 1:
            sets = loop.size // (found.outer * found.inner)
            own = steps // found.inner % sets * loop.strides[6]
        number = np.add.outer(number, own).ravel()
    numbers = np.ndarray(
        case.shape, np.int64, np.zeros(x.size, np.int64), 0, [2 * s for s in x.strides]
    )
    flat = numbers.base
    assert flat is not None
    np.asarray(flat)[offset] = number
    assert sorted(offset) == list(range(x.size))
    np.testing.assert_array_equal(numbers, case.set_numbers())
