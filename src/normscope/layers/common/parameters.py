"""The shapes of a layer's parameters and running statistics: which axes they lie along."""

from __future__ import annotations

from normscope.errors import ShapeError
from normscope.notation.layout import Layout
from normscope.notation.pattern import Repeat
from normscope.notation.shape import Size
from normscope.notation.spec import Measure, NormSpec
from normscope.wording import counted


def layout_of_sizes(spec: NormSpec) -> Layout:
    """The layout for a shape of which only the sizes in the spec are known.

    >>> layout_of_sizes(NormSpec("b [s...] (g [c])", sizes={"g": 4, "s": (28, 28)})).sizes
    (None, 28, 28, 4, None)
    """
    rank = 0
    for item in spec.parsed.items:
        if isinstance(item, Repeat):
            given = [spec.sizes.get(name) for name in item.names]
            counts = [len(sizes) for sizes in given if isinstance(sizes, tuple)]
            rank += len(item.items) * (counts[0] if counts else 1)
        else:
            rank += 1
    return spec.layout((None,) * rank)


def joined_shape(layout: Layout, axes: tuple[int, ...]) -> tuple[Size, ...]:
    """The lengths of axes; neighbours that are parts of one axis of the input count as one.

    >>> layout = NormSpec("b [s] (g [c])", sizes={"g": 4}).layout((2, 5, 8))
    >>> joined_shape(layout, layout.named("s g c")), joined_shape(layout, layout.named("c g"))
    ((5, 8), (2, 4))
    """
    lengths: list[Size] = []
    before: int | None = None
    for i in axes:
        own = layout.axes[i].size
        parts = before is not None and i == before + 1
        if parts and before is not None and layout.axes[i].dim == layout.axes[before].dim:
            last = lengths[-1]
            lengths[-1] = None if own is None or last is None else last * own
        else:
            lengths.append(own)
        before = i
    return tuple(lengths)


def memory_ddof(spec: NormSpec) -> int:
    """The ddof of the variance that is remembered; 0 where none is.

    >>> memory_ddof(NormSpec("[b] c"))
    0
    """
    return spec.running.ddof if spec.running and spec.measure is not Measure.NONE else 0


def check_set_size(spec: NormSpec, layout: Layout) -> None:
    """Enough values for every divisor N - ddof.

    Raises:
        ShapeError: there are not.
    """
    size = layout.set_size
    ddof = max(spec.ddof, memory_ddof(spec))
    if size is not None and 0 < size <= ddof:
        raise ShapeError(
            f"a statistics set holds {counted(size, 'value')}, and ddof={ddof} divides by "
            f"{size - ddof}",
            spec.pattern,
            layout.shape,
        )
