"""Random patterns with shapes that they fit, and random specs: what property tests run on."""

from __future__ import annotations

from dataclasses import dataclass

import hypothesis.strategies as st
import numpy as np

from normscope import NormSpec


@dataclass(frozen=True)
class Case:
    """A pattern, a shape that it fits, and the sizes that it leaves open.

    `atoms` is the same in another form: (dim, size, shared) of every atomic axis, built beside the
    text and not read from it, so that it can serve as an oracle.
    """

    pattern: str
    shape: tuple[int, ...]
    sizes: dict[str, int]
    atoms: tuple[tuple[int, int, bool], ...]
    names: tuple[str, ...]

    def set_numbers(self) -> np.ndarray:
        """The number of the statistics set of each element, from the atoms alone."""
        full = [size for _, size, _ in self.atoms]
        kept = [1 if shared else size for _, size, shared in self.atoms]
        numbers = np.arange(int(np.prod(kept))).reshape(kept)
        return np.broadcast_to(numbers, full).reshape(self.shape)


@st.composite
def cases(draw: st.DrawFn, max_rank: int = 5, max_size: int = 4) -> Case:
    """A pattern with plain axes, numbers, groups and perhaps one `...`, and a shape."""
    rank = draw(st.integers(1, max_rank))
    pieces: list[str] = []
    shape: list[int] = []
    sizes: dict[str, int] = {}
    atoms: list[tuple[int, int, bool]] = []
    names: list[str] = []
    dim = 0
    repeated = False
    while dim < rank:
        kind = draw(st.sampled_from(["axis", "axis", "axis", "group", "number", "repeat"]))
        size = draw(st.integers(1, max_size))
        shared = draw(st.booleans())
        if kind == "repeat" and not repeated:
            repeated = True
            count = draw(st.integers(0, rank - dim))
            name = draw(st.sampled_from(["...", f"s{dim}_..."]))
            pieces.append(_marked(name, shared))
            for _ in range(count):
                size = draw(st.integers(1, max_size))
                shape.append(size)
                atoms.append((dim, size, shared))
                names.append("")
                dim += 1
            continue
        if kind == "group":
            parts = []
            total = 1
            for index in range(draw(st.integers(2, 3))):
                part_size, part_shared = draw(st.integers(1, 3)), draw(st.booleans())
                name = f"g{dim}_{index}"
                if index or draw(st.booleans()):
                    sizes[name] = part_size
                parts.append(_marked(name, part_shared))
                atoms.append((dim, part_size, part_shared))
                names.append(name)
                total *= part_size
            pieces.append(f"({' '.join(parts)})")
            shape.append(total)
        else:
            name = str(size) if kind == "number" else f"a{dim}"
            pieces.append(_marked(name, shared))
            atoms.append((dim, size, shared))
            names.append(name if kind == "axis" else "")
            shape.append(size)
        dim += 1
    pattern = " ".join(pieces)
    if draw(st.booleans()):
        pattern = pattern.replace("] [", " ")
    if "[" not in pattern:
        pattern = f"{pattern} [last]"
        atoms.append((dim, 2, True))
        names.append("last")
        shape.append(2)
    return Case(pattern, tuple(shape), sizes, tuple(atoms), tuple(names))


DIVISORS = [
    *(
        {"eps": eps, "eps_outside": outside, "floor": floor}
        for eps in (1e-5, 1e-3, 1e-12)
        for outside in (0.0, 1e-3)
        for floor in (0.0, 1e-6, 0.5)
    ),
    *({"eps": 0.0, "unit_below": below} for below in (0.0, 0.0, 0.01, 0.5, 1.0, 2.0, 30.0)),
    {"eps": 1e-5, "unit_below": 0.5},
    {"eps": 1e-12, "eps_outside": 1e-3, "unit_below": 1.0},
]
"""What a spec may do with a small divisor; a floor and a guard exclude each other."""


def _marked(name: str, shared: bool) -> str:
    return f"[{name}]" if shared else name


@st.composite
def specs(draw: st.DrawFn, case: Case) -> NormSpec:
    """A spec over a pattern, with every field drawn."""
    measure = draw(st.sampled_from(["variance", "mean_square", "l2", "l1", "max", "none"]))
    usable = [name for name in case.names if name]
    parameter = (
        st.none() | st.lists(st.sampled_from(usable), unique=True, max_size=3).map(" ".join)
        if usable
        else st.sampled_from([None, ""])
    )
    scale = draw(parameter)
    smallest = int(np.prod([size for _, size, shared in case.atoms if shared]))
    ddof = draw(st.integers(0, 1)) if measure in ("variance", "mean_square") else 0
    return NormSpec(
        case.pattern,
        sizes=case.sizes,
        center=measure == "none" or draw(st.booleans()),
        measure=measure,
        ddof=min(ddof, max(smallest - 1, 0)),
        **({} if measure == "none" else draw(st.sampled_from(DIVISORS))),
        scale=scale,
        bias=draw(parameter),
        scale_shift=draw(st.integers(0, 1)) if scale is not None else 0,
    )
