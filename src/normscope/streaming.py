"""`fit`: statistics of data that does not fit in memory, piece by piece, merged exactly."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.errors import DtypeError, ShapeError, SpecError
from normscope.forward import formula, measured_states
from normscope.functional import normalize
from normscope.kernels.arrays import Arrays
from normscope.layout import Layout
from normscope.loops import atomic_strides
from normscope.notebook import html_of, summarized, text_of
from normscope.operands import address, readable
from normscope.plan import plan as find_plan
from normscope.spec import Measure, NormSpec
from normscope.statement import stated
from normscope.validation import check_array, check_mask
from normscope.wording import counted

Floats = NDArray[np.float64]

PIECE_BYTES = 64 << 20
"""An array is measured in pieces of about this size."""

PATIENCE = 1.0
"""Seconds after which a progress bar appears on a terminal."""


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """The statistics of all data, one value per statistics set.

    Attributes:
        spec: the spec that they were measured by.
        mean, var: m and v of the formula, in the shape of the axes outside brackets, float64.
        count: how many elements each set has.
    """

    spec: NormSpec
    mean: Floats
    var: Floats
    count: Floats

    @property
    def inference(self) -> NormSpec:
        """The spec of the inference form: no statistic is taken from the input."""
        return replace(
            self.spec, pattern=None, sizes={}, scale=self.spec.scale, bias=self.spec.bias
        )

    @property
    def parameters(self) -> dict[str, Floats]:
        """The arguments that make `normalize` use these statistics: mean and var."""
        return {
            "mean": self.mean if self.spec.center else np.zeros_like(self.mean),
            "var": self.var,
        }

    def normalize(self, x: NDArray[Any], **arguments: Any) -> NDArray[Any]:
        """Normalize an array with these statistics; arguments are those of `normalize`."""
        given: dict[str, Any] = {**self.parameters, **arguments}
        result: NDArray[Any] = normalize(x, self.spec, **given)
        return result

    def __repr__(self) -> str:
        return text_of(self._headline, self._rows)

    def _repr_html_(self) -> str:
        return html_of(self._headline, self._rows)

    @property
    def _headline(self) -> str:
        return f"Fit of {self.spec}: {counted(self.mean.size, 'statistics set')}"

    @property
    def _rows(self) -> list[tuple[str, str]]:
        return [(name, summarized(getattr(self, name))) for name in ("mean", "var", "count")]


def fit(
    spec: NormSpec | str,
    batches: Any,
    *,
    progress: bool | None = None,
    **fields_and_sizes: Any,
) -> Fit:
    """Measure the statistics sets of data that is given in batches.

    Every batch meets the pattern, and all have the same statistics sets: they differ in length
    along shared axes only, such as the batch axis of `"[b] c"`. Batches are merged by Chan's
    formula in float64, so the result is the same for any way of cutting the data, up to rounding.

    Args:
        spec: the spec, a layer by name, or a pattern with sizes and fields as keywords; as for
            `normalize`.
        batches: an array, which may be a memory map; a Dask array, whose blocks are measured where
            Dask computes; or an iterable of arrays.
        progress: whether to show a progress bar; None: on a terminal, after a second.
        **fields_and_sizes: with a bare pattern only, as for `spec`.

    Returns:
        The `Fit`: mean, var, count, and what inference needs.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly.
        ShapeError: a batch does not meet the pattern, or has other sets than the first one; or a
            set has too few values in all of them.
        DtypeError: a batch is not an array of real floats.

    Example:
        >>> found = fit("[b] c", [np.array([[0.0], [1.0]]), np.array([[5.0]])])
        >>> found.mean, found.var, found.count
        (array([2.]), array([4.66666667]), array([3.]))
        >>> found.normalize(np.array([[2.0]]))
        array([[0.]])
    """
    measured = stated(spec, fields_and_sizes, False, False)
    total: Floats | None = None
    shape: tuple[int, ...] = ()
    with _bar(progress) as advance:
        for part, sizes in _parts(measured, batches):
            if total is not None and sizes != shape:
                raise ShapeError(
                    f"this batch has statistics sets of shape {sizes}, the first one of {shape}",
                    measured.pattern,
                    sizes,
                    "batches may differ along shared axes only",
                )
            total, shape = (part if total is None else merged(measured, total, part)), sizes
            advance()
    if total is None:
        raise SpecError("there are no batches, so there is nothing to measure")
    count, mean, root = (row.reshape(shape) for row in total[:3])
    least = count.min(initial=np.inf)
    if least <= measured.ddof:
        raise ShapeError(
            f"a statistics set has {counted(int(least), 'value')} in all batches together, and "
            f"with ddof={measured.ddof} it needs at least {measured.ddof + 1}",
            measured.pattern,
            shape,
        )
    return Fit(measured, mean, _measured(measured, count, root), count)


def states_of(x: NDArray[Any], spec: NormSpec, mask: ArrayLike | None = None) -> Floats:
    """Count, mean, root and the rests of the last two of every set: (5, sets), in layout order.

    See `normscope.kernels.state`, and `wide` there for the rests, which only float64 input has.

    Raises:
        ShapeError: x does not meet the pattern.
        DtypeError: x is not an array of real floats.
    """
    from normscope.kernels.memory import TAGS

    check_array("x", x)
    layout = spec.layout(x.shape)
    x = readable(x, None)
    counted = None if mask is None else check_mask(mask, x.shape, layout.pattern.text)
    strides = atomic_strides(layout, x.strides, x.itemsize)
    masked = None if counted is None else atomic_strides(layout, counted.strides, 1)
    plan = find_plan(layout, [strides, strides, None, masked], [(), ()], x.itemsize)
    found = np.zeros((5, plan.num_sets))
    if not x.size:
        return found
    arrays = Arrays(
        address(x), 0, None, None if counted is None else address(counted), 0, 0, None,
        TAGS[x.dtype.name], None,
    )  # fmt: skip
    states, order = measured_states(plan, formula(spec, x.dtype.name), arrays)
    found[: len(states), order] = states
    return found


def merged(spec: NormSpec, one: Floats, other: Floats) -> Floats:
    """The states of two disjoint pieces of the same sets together."""
    from normscope.kernels import merging

    target = np.empty_like(one)
    merging.merge_chunks(np.stack([one, other]), target, formula(spec, "float64"), False)
    return target


def _measured(spec: NormSpec, count: Floats, root: Floats) -> Floats:
    """v, from count and root."""
    v = root * root
    with np.errstate(divide="ignore", invalid="ignore"):
        if spec.measure in (Measure.VARIANCE, Measure.MEAN_SQUARE):
            v = v * (count / np.maximum(count - spec.ddof, 0))
        elif spec.measure is Measure.L2:
            v = v * count
    return np.asarray(v)


def _parts(spec: NormSpec, batches: Any) -> Iterator[tuple[Floats, tuple[int, ...]]]:
    """The states of each piece of the data, and the sizes of the kept axes."""
    if type(batches).__module__.split(".")[0] == "dask":
        yield from _dask_parts(spec, batches)
        return
    if isinstance(batches, str | bytes) or not isinstance(batches, Iterable):
        raise DtypeError(f"batches is an array or an iterable of arrays, not {batches!r}")
    for batch in [batches] if isinstance(batches, np.ndarray) else batches:
        check_array("batch", batch)
        layout = spec.layout(batch.shape)
        for piece in _pieces(layout, batch):
            yield states_of(piece, spec), _kept_sizes(layout)


def _kept_sizes(layout: Layout) -> tuple[int, ...]:
    return tuple(layout.known_sizes[i] for i in layout.kept)


def _pieces(layout: Layout, array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The array in pieces along its first axis, if that lies inside a statistics set."""
    first = layout.parts(0) if array.ndim else ()
    if len(first) != 1 or not first[0].shared or array.nbytes <= 2 * PIECE_BYTES:
        yield array
        return
    step = max(1, PIECE_BYTES * len(array) // array.nbytes)
    for start in range(0, len(array), step):
        yield array[start : start + step]


def _dask_parts(spec: NormSpec, array: Any) -> Iterator[tuple[Floats, tuple[int, ...]]]:
    """The states of each block, computed where Dask computes; only they travel."""
    import dask  # optional

    layout = spec.layout(array.shape)
    whole = {
        dim: -1
        for dim in range(array.ndim)
        if len(layout.parts(dim)) != 1 or not layout.parts(dim)[0].shared
    }
    blocks = array.rechunk(whole).to_delayed().ravel()
    measure = dask.delayed(states_of)
    for part in dask.compute(*[measure(block, spec) for block in blocks]):
        yield part, _kept_sizes(layout)


@contextmanager
def _bar(progress: bool | None) -> Iterator[Any]:
    """A function to call after each piece; it shows a bar on long work."""
    if progress is False or (progress is None and not sys.stderr.isatty()):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("measuring"),
        BarColumn(),
        TextColumn("{task.completed:.0f} pieces"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("measuring", total=None)
    began = time.monotonic()

    def advance() -> None:
        bar.advance(task)
        if not bar.live.is_started and (progress or time.monotonic() - began > PATIENCE):
            bar.start()

    try:
        yield advance
    finally:
        bar.stop()
