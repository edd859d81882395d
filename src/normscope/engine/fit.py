"""`fit`: statistics of data that does not fit in memory, piece by piece, merged exactly."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.engine.batches import arrays_of, measured_pieces, shape_known
from normscope.engine.normalize import normalize
from normscope.engine.partial_statistics import measure_of, merged
from normscope.errors import ShapeError, SpecError
from normscope.frameworks.statement import stated
from normscope.kernels.contract import (
    PARTIAL_COUNT,
    PARTIAL_MEAN,
    PARTIAL_ROOT,
    PARTIAL_ROWS_WITH_RESTS,
)
from normscope.notation.spec import NormSpec
from normscope.notebook import html_of, summarized, text_of
from normscope.wording import counted

Floats = NDArray[np.float64]

PATIENCE = 1.0
"""Seconds after which a progress bar appears on a terminal."""


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """The statistics of all data, one value per statistics set.

    Attributes:
        spec: the spec that they were measured by.
        mean, var: m and v of the formula, in the shape of the axes outside brackets, float64. With
            the measure `none` v is 1.
        count: how many elements were counted in each set.
    """

    spec: NormSpec
    mean: Floats
    var: Floats
    count: Floats

    @property
    def std(self) -> Floats:
        """The square root of `var`: the standard deviation, or another measure itself."""
        return np.sqrt(self.var)

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
    mask: Any = None,
    missing: str = "propagate",
    progress: bool | None = None,
    **fields_and_sizes: Any,
) -> Fit:
    """Measure the statistics sets of data that need not fit in memory.

    The data is one array, or comes in batches. Anything with a shape is one array, also if it can
    be iterated: an h5py or zarr dataset, a memory map, a tensor, a table. It is read in pieces of
    about 64 MiB, or of one chunk of its file where that is more, cut along any axis.

    Every batch meets the pattern, and all have the same statistics sets: they differ in length
    along shared axes only, such as the batch axis of `"[b] c"`. Pieces and batches are merged by
    Chan's formula in float64, so the result is the same for any way of cutting the data, up to
    rounding. Integers and booleans are measured as the floats they equal (see `normalize`).

    Args:
        spec: the spec, a layer by name, or a pattern with sizes and fields as keywords; as for
            `normalize`.
        batches: an array; a Dask array, whose blocks are measured where Dask computes; or an
            iterable of arrays (a list, a generator, a loader).
        mask: booleans; only elements where it is True are counted. For one array: an array that
            broadcasts to it. For batches: an iterable of such arrays, or of None, one per batch.
        missing: what NaN does: `"propagate"` makes the statistics of its set NaN, `"skip"` leaves
            it out, together with what is masked in masked arrays.
        progress: whether to show a progress bar; None: on a terminal, after a second.
        **fields_and_sizes: with a bare pattern only, as for `spec`.

    Returns:
        The `Fit`: mean, var, std, count, and what inference needs.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly, there is no batch, or
            there are more or fewer masks than batches.
        ShapeError: a batch does not meet the pattern, or has other sets than the first one; a mask
            does not broadcast; or a set has too few counted values in all of them.
        DtypeError: what came is not an array of numbers, nor an iterable of such.

    Example:
        >>> found = fit("[b] c", [np.array([[0.0], [1.0]]), np.array([[5.0]])])
        >>> found.mean, found.var, found.count
        (array([2.]), array([4.66666667]), array([3.]))
        >>> found.normalize(np.array([[2.0]]))
        array([[0.]])
        >>> fit("[b] c", np.array([[0.0], [np.nan], [5.0]]), missing="skip").std
        array([2.5])
    """
    measured = stated(spec, fields_and_sizes, False, False)
    if missing not in ("propagate", "skip"):
        raise SpecError(f'missing is "propagate" or "skip", not {missing!r}')
    total: Floats | None = None
    shape: tuple[int, ...] = ()
    with _bar(progress) as advance:
        for array, counts in arrays_of(batches, mask):
            layout = measured.layout(shape_known(array))
            sizes = tuple(layout.known_sizes[i] for i in layout.kept)
            if total is None:
                total, shape = np.zeros((PARTIAL_ROWS_WITH_RESTS, *sizes)), sizes
            elif sizes != shape:
                raise ShapeError(
                    f"this batch has statistics sets of shape {sizes}, the first one of {shape}",
                    measured.pattern,
                    sizes,
                    "batches may differ along shared axes only",
                )
            skip = missing == "skip"
            for where, part in measured_pieces(measured, layout, array, counts, skip):
                so_far = total[(slice(None), *where.place)]
                if so_far[PARTIAL_COUNT].any():
                    part = merged(measured, so_far.reshape(PARTIAL_ROWS_WITH_RESTS, -1), part)
                so_far[...] = part.reshape(so_far.shape)
                advance()
    if total is None:
        raise SpecError("there are no batches, so there is nothing to measure")
    count = total[PARTIAL_COUNT]
    _check_counts(measured, count)
    var = measure_of(measured, count, total[PARTIAL_ROOT])
    return Fit(spec=measured, mean=total[PARTIAL_MEAN], var=var, count=count)


def _check_counts(spec: NormSpec, count: Floats) -> None:
    least = count.min(initial=np.inf)
    if least > spec.ddof:
        return
    few = count <= spec.ddof
    which = tuple(int(n) for n in np.argwhere(few)[0])
    raise ShapeError(
        f"a statistics set has {counted(int(least), 'value')} in all batches together, and with "
        f"ddof={spec.ddof} it needs at least {spec.ddof + 1}",
        spec.pattern,
        count.shape,
        f"{few.sum()} of {count.size} sets have too few; the first one is {which}: leave it out, "
        "or count more with another mask"
        if few.size > 1
        else "",
    )


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
