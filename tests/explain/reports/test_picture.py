"""The picture shows whose set each cell is, exactly, and colours a set that can be seen."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from explain.pictures import CASES, NAMES, pictured, visible_faces
from normscope.explain.reports.picture import DrawnAxis, picture
from normscope.notation.shape import Size
from normscope.notation.spec import spec


@dataclass(frozen=True)
class Atom:
    size: int
    shared: bool


Dims = list[list[Atom]]

MOST_ELEMENTS = 20_000


def small(array: Dims) -> Dims:
    """The same array with axes of one element where it would have too many."""
    elements, shrunk = 1, []
    for parts in array:
        shrunk.append([])
        for atom in parts:
            fits = elements * atom.size <= MOST_ELEMENTS
            elements *= atom.size if fits else 1
            shrunk[-1].append(atom if fits else replace(atom, size=1))
    return shrunk


atoms = st.builds(Atom, st.integers(1, 7), st.booleans())
dims = (
    st.lists(st.lists(atoms, min_size=1, max_size=4), max_size=6)
    .map(small)
    .filter(lambda array: any(atom.shared for parts in array for atom in parts))
)


def written(array: Dims) -> tuple[str, dict[str, int]]:
    """The pattern of an array whose axes are made of these atoms, and the sizes of its names."""
    words, sizes = [], {}
    for dim, parts in enumerate(array):
        names = [f"x{dim}_{i}" for i in range(len(parts))]
        sizes |= {name: atom.size for name, atom in zip(names, parts, strict=True)}
        inner = " ".join(
            f"[{n}]" if atom.shared else n for n, atom in zip(names, parts, strict=True)
        )
        words.append(f"({inner})" if len(parts) > 1 else inner)
    return " ".join(words), sizes


def true_sets(array: Dims) -> NDArray[np.int64]:
    """The statistics set of every element: numbered where all is kept, then spread by NumPy."""
    atomic = [atom for parts in array for atom in parts]
    kept = [1 if atom.shared else atom.size for atom in atomic]
    numbers = np.arange(math.prod(kept)).reshape(kept)
    spread = np.broadcast_to(numbers, [atom.size for atom in atomic])
    return spread.reshape([math.prod(atom.size for atom in parts) for parts in array])


def true_indices(axis: DrawnAxis) -> NDArray[np.int64]:
    """Which index of the array each drawn cell of an axis stands for."""
    if len(axis.parts) < 2:
        return np.arange(axis.drawn)
    drawn = [part.drawn for part in axis.parts]
    indices = np.unravel_index(np.arange(axis.drawn), drawn)
    return np.ravel_multi_index(indices, [part.size or 0 for part in axis.parts])


def same_partition(a: NDArray[np.int64], b: NDArray[np.int64]) -> bool:
    """Whether equal numbers in the one are just where the other has equal numbers."""
    pairs = {(int(p), int(q)) for p, q in zip(a.ravel(), b.ravel(), strict=True)}
    return len(pairs) == len({p for p, _ in pairs}) == len({q for _, q in pairs})


@given(dims, st.sets(st.integers(0, 5)))
def test_cells_have_one_number_exactly_if_they_share_statistics(
    array: Dims, hidden: set[int]
) -> None:
    pattern, sizes = written(array)
    sets = true_sets(array)
    shape: list[Size] = list(sets.shape)
    for dim, parts in enumerate(array):
        # Up to three cells stand for an axis of unknown size, so the array must have as many.
        if dim in hidden and len(parts) == 1 and parts[0].size >= 3:
            shape[dim] = None
            del sizes[f"x{dim}_0"]

    layout = spec(pattern, sizes=sizes).layout(shape)
    shown = picture(layout, [f"axis {dim}" for dim in range(len(shape))])

    cells = [true_indices(axis) for axis in shown.axes]
    assert shown.numbers.shape == tuple(axis.drawn for axis in shown.axes)
    assert same_partition(shown.numbers, sets[np.ix_(*cells)])


def test_a_wrong_number_is_noticed() -> None:
    right = np.array([[0, 0], [1, 1]])
    assert same_partition(right, np.array([[5, 5], [2, 2]]))
    assert not same_partition(right, np.array([[0, 0], [0, 0]]))
    assert not same_partition(right, np.array([[0, 1], [2, 2]]))


@given(dims)
def test_the_coloured_set_shows_most(array: Dims) -> None:
    pattern, sizes = written(array)
    shape = true_sets(array).shape
    shown = picture(
        spec(pattern, sizes=sizes).layout(shape), [str(dim) for dim in range(len(shape))]
    )

    faces = visible_faces(shown)
    of_each = [
        sum(int((face == number).sum()) for face in faces) for number in np.unique(shown.numbers)
    ]
    assert of_each[shown.chosen] == max(of_each) > 0


@pytest.mark.parametrize(("pattern", "shape", "sizes"), CASES, ids=NAMES)
def test_the_coloured_set_begins_where_repetition_begins(
    pattern: str, shape: tuple[Size, ...], sizes: dict[str, int]
) -> None:
    shown = pictured(pattern, shape, sizes)
    repeated = (0,) * len(shape[:-2])
    assert (shown.numbers[repeated] == shown.chosen).any()


def test_few_cells_are_drawn_of_many() -> None:
    for pattern, shape, sizes in CASES:
        for axis in pictured(pattern, shape, sizes).axes:
            most = 6 if len(axis.parts) < 3 else 2 ** len(axis.parts)
            assert 1 <= axis.drawn <= most
            if axis.size is None:
                assert axis.drawn <= 3 * len(axis.parts)
    assert pictured(*CASES[-1]).numbers.size < 5000


def test_groups_are_drawn_as_groups() -> None:
    (axis,) = pictured("(g [c])", (128,), {"g": 4}).axes
    assert axis.owners.tolist() == [0, 0, 1, 1, 2, 2]
    assert axis.breaks == (0, 0, 1, 0, 1, 0)
    (axis,) = pictured("([g] c)", (128,), {"c": 2}).axes
    assert axis.owners.tolist() == [0, 1, 0, 1, 0, 1]
    (axis,) = pictured("(g [c])", (128,), {"g": 2}).axes
    assert axis.owners.tolist() == [0, 0, 0, 1, 1, 1]


def test_parts_of_one_role_are_drawn_as_one() -> None:
    (axis,) = pictured("([a b])", (12,), {"a": 3}).axes
    assert [(part.name, part.size, part.drawn) for part in axis.parts] == [("a b", 12, 6)]


def test_a_part_of_one_index_splits_nothing() -> None:
    (axis,) = pictured("(g [c])", (12,), {"g": 1}).axes
    assert axis.breaks == (0,) * 6


@pytest.mark.parametrize(
    ("pattern", "shape", "sizes", "captions", "set_size", "others"),
    [
        (
            *("b c h [w]", (None, 128, 56, 3), {}),
            ["b: any size (3 drawn)", "c = 128 (4 drawn)", "h = 56 (5 drawn)", "w = 3"],
            "3 values",
            "the other sets",
        ),
        ("[b] c", (None, 2), {}, ["b: any size (3 drawn)", "c = 2"], "b values", "the other set"),
        (
            *("[b] (g [c])", (None, 128), {"g": 4}),
            ["b: any size (3 drawn)", "(g c) = 4 × 32 (3 × 2 drawn)"],
            "32 × b values",
            "the other 3 sets",
        ),
        (
            *("(g [c])", (None,), {"g": 4}),
            ["(g c) = 4 × any c (3 × 2 drawn)"],
            "c values",
            "the other 3 sets",
        ),
        ("[...]", (1000, 1000), {}, None, "1,000,000 values", ""),
        ("[c]", (1,), {}, ["c = 1"], "1 value", ""),
        ("[...]", (), {}, [], "1 value", ""),
    ],
)
def test_sizes_in_words(
    pattern: str,
    shape: tuple[Size, ...],
    sizes: dict[str, int],
    captions: list[str] | None,
    set_size: str,
    others: str,
) -> None:
    shown = pictured(pattern, shape, sizes)
    assert captions is None or [axis.caption for axis in shown.axes] == captions
    assert (shown.set_size, shown.others) == (set_size, others)


def test_description_for_those_who_do_not_see_it() -> None:
    assert pictured("b c [h w]", (None, 3, 5, 7), {}).description == (
        "An array with b: any size, c = 3, h = 5, w = 7. One statistics set, coloured, holds "
        "35 values: it runs along h and w, with a separate set for each b and c."
    )
    assert (
        pictured("b [c]", (8, 0), {}).description == "An array with b = 8, c = 0 has no elements."
    )


def test_a_long_label_is_cut() -> None:
    layout = spec("[c]").layout((5,))
    (axis,) = picture(layout, ["x" * 100]).axes
    assert axis.label == "x" * 19 + "…"
