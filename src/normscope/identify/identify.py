"""`identify`: find out from outside what a layer computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from normscope.errors import NormscopeError, ShapeError, SpecError
from normscope.frameworks.layer_class import class_title
from normscope.frameworks.live import Live
from normscope.frameworks.opened import opened
from normscope.identify.evidence import declared_by, evidence, headline
from normscope.identify.modes import Modes, examine
from normscope.identify.result import Identification, Kind
from normscope.identify.subject.one_input import OneInput, one_input
from normscope.identify.subject.subject import Subject
from normscope.notation.axis_roles import axis_names
from normscope.notation.shape import checked_shape
from normscope.sight.index_table import checked_show


def identify(
    layer: Any,
    shape: Sequence[int],
    axes: str | None = None,
    dtype: DTypeLike | None = None,
    *,
    others: Sequence[Any] = (),
    inputs: Mapping[str, Any] | None = None,
    show: str | None = None,
) -> Identification:
    """Find out from outside what a layer computes: it is called, and nothing it says is trusted.

        y = (x - m) / max(sqrt(v + eps) + eps_outside, floor) * scale + bias

    Single elements of the input are changed to see who sees whom, chosen inputs give the formula,
    and the reference verifies it. The layer is afterwards as it was, bit for bit.

    Args:
        layer: a layer of torch, Keras, Flax (NNX; Linen bound to its variables, or a pair of module
            and variables), Haiku (a transformed function, or a pair with its parameters) or
            Equinox; an ONNX model or node, or the path of an ONNX file; or any function from an
            array to an array. A function that takes a keyword `training` is asked in both modes.
        shape: of the input. Each axis whose part shall be found has at least 2 indices; 4 or more
            tell more.
        axes: names of the axes, such as `"b c h w"`; else they are called b, d1, d2, ...
        dtype: in which a layer without parameters is called; float32 by default. Integers stand for
            the floats that hold them: float32 for up to 16 bits, else float64.
        others: further inputs by position, held fixed.
        inputs: further inputs by name, held fixed.
        show: `"indices"` adds a table for each axis: index by index, who sees whom. It needs more
            calls, and axes of at most 16 indices.

    Returns:
        The `Identification`. That nothing could be found is a result too, not an error.

    Raises:
        ShapeError: the shape is not one, or `axes` does not name its axes.
        SpecError: the layer cannot be called at all, it is a class, `others` is one array, or
            `show` is unknown.
        ModelFileError: a file holds no ONNX model.
        MissingPackageError: its framework is not installed.

    Example:
        >>> from normscope.identify import identify
        >>> def layer(x):
        ...     return (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + 1e-6)
        >>> print(identify(layer, (8, 4, 32), axes="b t c").train)
        "b t [c]", eps=0, eps_outside=1e-06
    """
    checked_show(show)
    layer = opened(layer, "identify")
    lengths = _lengths(shape)
    names = axis_names(lengths, axes)
    if hasattr(others, "shape"):
        raise SpecError("others is a tuple of inputs, not one array; write others=(x,)")
    try:
        adapter = one_input(layer, lengths, tuple(others), inputs, _float_dtype(dtype))
        problem = adapter.problem
    except NormscopeError:
        raise
    except Exception as error:  # the framework itself may refuse a layer
        adapter, problem = OneInput(Live(class_title(layer))), error
    subject = Subject(adapter, lengths)
    if problem is not None:
        found = Modes.refused(problem, indices=show is not None)
    else:
        with subject.untouched():
            found = examine(subject, names, indices=show is not None)
    _check_arguments(adapter, found)
    declared = declared_by(layer, " ".join(names))
    return Identification(
        title=adapter.title,
        shape=lengths,
        names=names,
        kind=_kind(found),
        train_report=found.train,
        infer_report=found.infer,
        one_mode=found.one_mode,
        evidence=tuple(evidence(subject, names, found)),
        headline=headline(declared, found, lengths),
        declared=declared,
        calls=subject.calls,
        indices=found.indices,
    )


def _float_dtype(dtype: DTypeLike | None) -> np.dtype[Any] | None:
    """The dtype in which a layer is called; integers stand for the floats that hold them."""
    if dtype is None:
        return None
    wanted = np.dtype(dtype)
    if wanted.kind in "iub":
        return np.dtype(np.float32 if wanted.itemsize <= 2 else np.float64)
    return wanted


def _check_arguments(adapter: OneInput, found: Modes) -> None:
    """Where no call succeeded and the arguments do not fit: an error that says which do."""
    if any(report.sight.axes or report.sight.output_shape for report in found.reports):
        return
    unfit = adapter.misfit(_further)
    if unfit:
        raised = "; ".join(found.train.notes)
        raise SpecError(f"{adapter.title} cannot be called: {unfit} ({raised})")


def _further(missing: Sequence[str], needed: Sequence[str]) -> str:
    others = ", ".join(missing) + ("," if len(missing) == 1 else "")
    options = " ".join(f"--input {name}=4,8" for name in missing)
    return f"others=({others}), or on the command line by {options}"


def _lengths(shape: Sequence[int]) -> tuple[int, ...]:
    lengths = tuple(size for size in checked_shape(shape) if size is not None)
    if len(lengths) < len(shape) or 0 in lengths or not lengths:
        raise ShapeError(
            "identify calls the layer, so every axis needs a length of at least 1",
            None,
            tuple(shape),
            "write a small shape that the layer takes, such as (4, 8, 6, 6)",
        )
    return lengths


def _kind(found: Modes) -> Kind:
    if any(report.spec is not None for report in found.reports):
        return Kind.NORMALIZATION
    seen = [report for report in found.reports if report.sight.axes or report.sight.output_shape]
    settled = [report for report in seen if not report.sight.stochastic]
    if not settled or any(not report.certain for report in settled):
        return Kind.UNKNOWN
    return Kind.POINTWISE if all(r.sight.alone for r in settled) else Kind.MIXING
