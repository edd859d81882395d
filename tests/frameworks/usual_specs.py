"""Random specs that come near to what frameworks have, on the random patterns of all tests."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st

from normscope import NormSpec, Running
from normscope.notation.spec import Measure
from strategies import Case, cases, specs


@st.composite
def usual_specs(draw: st.DrawFn, max_rank: int = 5) -> tuple[NormSpec, tuple[int, ...]]:
    """A spec and a shape: mostly the formula of the frameworks, parameters along likely axes."""
    case = draw(st.one_of(cases(max_rank=max_rank), *[likely_cases()] * 4))
    stated = draw(specs(case))
    if draw(st.integers(0, 19)) == 0:
        return stated, case.shape
    measure = draw(st.sampled_from(["variance"] * 5 + ["mean_square", "l2"]))
    stated = replace(
        stated,
        measure=measure,
        center=measure == "variance" and draw(st.integers(0, 5)) > 0,
        ddof=0,
        eps=0.0 if measure == Measure.L2 else draw(st.sampled_from([1e-5, 1e-3])),
        eps_outside=0.0,
        floor=1e-12 if measure == Measure.L2 else 0.0,
        unit_below=None,
        scale=draw(likely_parameters(case)),
        bias=draw(likely_parameters(case)),
        scale_shift=0,
        running=draw(memories()) if case.atoms[0][2] or draw(st.integers(0, 3)) == 0 else None,
    )
    if draw(st.integers(0, 3)) > 0:
        stated = replace(stated, bias=stated.scale)
    return stated, case.shape


@st.composite
def likely_cases(draw: st.DrawFn) -> Case:
    """Samples first, then whole axes each shared or kept, one of them perhaps cut into groups."""
    rank = draw(st.integers(2, 5))
    shared = draw(likely_sets(rank))
    shape = [draw(st.integers(2, 4)) for _ in range(rank)]
    atoms = [(dim, size, mark) for dim, (size, mark) in enumerate(zip(shape, shared, strict=True))]
    names = [f"a{dim}" for dim in range(rank)]
    pieces = [f"[{name}]" if mark else name for name, mark in zip(names, shared, strict=True)]
    sizes = {}
    if draw(st.booleans()):
        dim = draw(st.sampled_from([1, rank - 1]))
        groups, size = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        pieces[dim], shape[dim], sizes = f"(g [c{dim}])", groups * size, {"g": groups}
        atoms[dim : dim + 1] = [(dim, groups, False), (dim, size, True)]
        names[dim : dim + 1] = ["g", f"c{dim}"]
    if not any(mark for _, _, mark in atoms):
        pieces[-1], atoms[-1] = f"[{names[-1]}]", (rank - 1, shape[-1], True)
    return Case(" ".join(pieces), tuple(shape), sizes, tuple(atoms), tuple(names))


def likely_sets(rank: int) -> st.SearchStrategy[list[bool]]:
    """Which axes are shared: as in batch, instance and layer normalization, or at random."""
    channels = st.sampled_from([1, rank - 1])
    count = st.integers(1, rank - 1)
    return st.one_of(
        channels.map(lambda c: [dim != c for dim in range(rank)]),
        channels.map(lambda c: [dim not in (0, c) for dim in range(rank)]),
        count.map(lambda n: [dim >= rank - n for dim in range(rank)]),
        st.lists(st.booleans(), min_size=rank, max_size=rank),
    )


def likely_parameters(case: Case) -> st.SearchStrategy[str | None]:
    named = [(name, atom) for name, atom in zip(case.names, case.atoms, strict=True) if name]
    shared = " ".join(name for name, (_, _, mark) in named if mark)
    kept = " ".join(name for name, (dim, _, mark) in named if not mark and dim > 0)
    second = " ".join(name for name, (dim, _, _) in named if dim == 1)
    last = " ".join(name for name, (dim, _, _) in named if dim == len(case.shape) - 1)
    return st.sampled_from([None, *(names for names in (shared, kept, second, last) if names)])


def memories() -> st.SearchStrategy[Running | None]:
    return st.none() | st.builds(
        Running, st.sampled_from([0.9, 0.99, 0.3]), st.sampled_from([0, 1])
    )
