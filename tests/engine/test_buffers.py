from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from normscope import normalize
from normscope.engine import buffers
from normscope.engine.buffers import SMALLEST, empty, pooled_bytes, set_buffer_limit

SHAPE = (SMALLEST // 4 + 3,)
F32 = np.dtype(np.float32)


@pytest.fixture(autouse=True)
def _own_pool() -> Iterator[None]:
    set_buffer_limit(0)
    set_buffer_limit(64 << 20)
    yield
    set_buffer_limit(0)
    set_buffer_limit(buffers.DEFAULT_LIMIT)


def where(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_memory_of_a_dead_array_is_used_again() -> None:
    array = empty(SHAPE, F32, None)
    place = where(array)
    del array
    assert pooled_bytes() > 0
    assert where(empty(SHAPE, F32, None)) == place


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[5:6],
        lambda a: a.reshape(-1, 1).T,
        lambda a: a.view(np.uint8)[:1],
        memoryview,
        lambda a: np.asarray(memoryview(a)),
        lambda a: np.lib.stride_tricks.as_strided(a, (3,), (0,)),
        lambda a: iter(a),
        lambda a: a.flat,
    ],
)
def test_memory_is_never_used_again_while_a_view_lives(view) -> None:  # type: ignore[no-untyped-def]
    array = empty(SHAPE, F32, None)
    place = where(array)
    left = view(array)
    del array
    gc.collect()
    other = empty(SHAPE, F32, None)
    assert where(other) != place
    del left, other
    gc.collect()
    assert where(empty(SHAPE, F32, None)) in (place, *[]) or pooled_bytes() > 0


@pytest.mark.framework
def test_memory_lives_in_another_framework() -> None:
    import torch

    array = empty(SHAPE, F32, None)
    array[:] = 7
    tensor = torch.from_numpy(array)
    place = where(array)
    del array
    assert where(empty(SHAPE, F32, None)) != place
    assert bool((tensor == 7).all())


def test_the_pool_is_bounded() -> None:
    set_buffer_limit(8 << 20)
    arrays = [empty((n * SMALLEST,), np.dtype(np.uint8), None) for n in (1, 2, 3, 4, 2, 1, 3)]
    del arrays
    assert 0 < pooled_bytes() <= 8 << 20
    large = empty((9 * SMALLEST,), np.dtype(np.uint8), None)
    del large
    assert pooled_bytes() <= 8 << 20


def test_it_can_be_switched_off() -> None:
    array = empty(SHAPE, F32, None)
    set_buffer_limit(0)
    del array
    assert pooled_bytes() == 0
    assert empty(SHAPE, F32, None).base is None


@pytest.mark.parametrize("limit", [-1, 1.5, True, "1"])
def test_a_limit_that_is_no_size_is_refused(limit: object) -> None:
    with pytest.raises(ValueError, match="number of bytes"):
        set_buffer_limit(limit)  # type: ignore[arg-type]


def test_a_lent_array_is_like_any_other() -> None:
    array = empty((3, SMALLEST // 4, 2), F32, (1, 2, 0))
    assert array.shape == (3, SMALLEST // 4, 2)
    assert array.transpose(1, 2, 0).flags.c_contiguous
    assert array.flags.writeable
    assert array.flags.aligned
    assert type(array) is np.ndarray
    array[...] = 1
    assert array.sum() == array.size
    assert array.copy().base is None


def test_results_do_not_change_when_others_are_made() -> None:
    x = np.random.default_rng(0).normal(size=(8, SMALLEST // 16)).astype(np.float32)
    first = normalize(x, "b [c]")
    kept = first.copy()
    for _ in range(5):
        normalize(x * 2, "[b] c")
    np.testing.assert_array_equal(first, kept)


def test_many_threads() -> None:
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(100):
            array = empty(SHAPE, F32, None)
            array[::4096] = number
            view = array[::4096]
            del array
            if not (view == number).all():
                wrong.append(number)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []
    assert pooled_bytes() <= 64 << 20
