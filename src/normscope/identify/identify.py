"""`identify`: find out from outside what a layer computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from normscope.errors import NormscopeError, ShapeError, SpecError
from normscope.frameworks.arguments import called, for_framework, misfit
from normscope.frameworks.declaration import Declaration
from normscope.frameworks.layer import Adapter, class_title
from normscope.frameworks.layers import adapt
from normscope.frameworks.opened import opened
from normscope.frameworks.settings import declare
from normscope.identify.compare import differences
from normscope.identify.examination import Examination, ModeReport, raised, with_memory_of
from normscope.identify.result import Identification, Kind
from normscope.identify.subject.subject import Subject
from normscope.notation.axis_roles import axis_names
from normscope.notation.shape import checked_shape
from normscope.sight.index_table import IndexTable, checked_show
from normscope.sight.sentences import describe_silent
from normscope.wording import counted


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
        ShapeError: the shape is none, or `axes` does not name its axes.
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
    indices: dict[str, tuple[IndexTable, ...]] = {}
    wanted = None if dtype is None else np.dtype(dtype)
    if wanted is not None and wanted.kind in "iub":
        wanted = np.dtype(np.float32 if wanted.itemsize <= 2 else np.float64)
    if hasattr(others, "shape"):
        raise SpecError("others is a tuple of inputs, not one array; write others=(x,)")
    others, inputs = for_framework(layer, tuple(others)), for_framework(layer, inputs)
    try:
        adapter = adapt(layer, lengths, others=tuple(others), inputs=inputs, dtype=wanted)
    except NormscopeError:
        raise
    except Exception as error:  # a layer that is built by its first call may refuse it
        adapter = Adapter(class_title(layer), np.dtype(np.float32), (False,))
        subject, train, infer, one_mode = (
            Subject(adapter, lengths),
            raised(error),
            raised(error),
            True,
        )
    else:
        subject = Subject(adapter, lengths)
        with subject.untouched():
            examination = Examination(subject, names)
            train = examination.mode(training=adapter.modes[0])
            one_mode = len(adapter.modes) == 1
            infer = train.for_good() if one_mode else examination.inference_after(train)
            train = with_memory_of(train, infer)
            if not one_mode and not infer.same:  # first, as long as nothing is trained
                infer = examination.with_pairs(False, infer)
            train = examination.with_pairs(adapter.modes[0], train)
            if one_mode or infer.same:
                infer = replace(infer, pairs=train.pairs)
            if show is not None:
                indices = _indices(examination, adapter.modes, train, infer)
    _check_arguments(layer, others, inputs, adapter.title, train, infer)
    declared = _declared(layer, " ".join(names))
    return Identification(
        title=adapter.title,
        shape=lengths,
        names=names,
        kind=_kind(train, infer),
        train_report=train,
        infer_report=infer,
        one_mode=one_mode,
        evidence=tuple(_evidence(adapter, subject, train, infer, lengths, names, one_mode)),
        headline=_headline(declared, train, infer, lengths, subject),
        declared=declared,
        calls=subject.calls,
        indices=indices if show is not None else None,
    )


def _check_arguments(
    layer: Any,
    others: Sequence[Any],
    inputs: Mapping[str, Any] | None,
    title: str,
    *reports: ModeReport,
) -> None:
    """Where no call succeeded and the arguments do not fit: an error that says which do."""
    if any(report.sight.axes or report.sight.output_shape for report in reports):
        return
    unfit = misfit(called(layer), 1 + len(others), list(inputs or {}), _further)
    if unfit:
        raise SpecError(f"{title} cannot be called: {unfit} ({'; '.join(reports[0].notes)})")


def _further(missing: Sequence[str], needed: Sequence[str]) -> str:
    others = ", ".join(missing) + ("," if len(missing) == 1 else "")
    options = " ".join(f"--input {name}=4,8" for name in missing)
    return f"others=({others}), or on the command line by {options}"


def _indices(
    examination: Examination, modes: tuple[bool, ...], train: ModeReport, infer: ModeReport
) -> dict[str, tuple[IndexTable, ...]]:
    """The tables of each mode; of one mode, or of two that are the same, once."""
    if len(modes) == 1 or infer.same:
        found = examination.indices(modes[0], train)
        return {"train": found, "infer": found}
    # inference first: it may use what training leaves
    after = examination.indices(False, infer)
    return {"train": examination.indices(True, train), "infer": after}


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


def _kind(train: ModeReport, infer: ModeReport) -> Kind:
    reports = (train, infer)
    if any(report.spec is not None for report in reports):
        return Kind.NORMALIZATION
    seen = [report for report in reports if report.sight.axes or report.sight.output_shape]
    settled = [report for report in seen if not report.sight.stochastic]
    if not settled or any(not report.certain for report in settled):
        return Kind.UNKNOWN
    return Kind.POINTWISE if all(r.sight.alone for r in settled) else Kind.MIXING


def _evidence(
    adapter: Adapter,
    subject: Subject,
    train: ModeReport,
    infer: ModeReport,
    shape: tuple[int, ...],
    names: tuple[str, ...],
    one_mode: bool,
) -> Iterator[str]:
    modes = [("training", train), ("inference", infer)]
    for title, report in modes[: 1 if one_mode or infer.same else 2]:
        prefix = "" if one_mode or infer.same else f"{title}: "
        silent = describe_silent(report.sight)
        yield from (f"{prefix}{note}" for note in (*report.notes, *silent))
        if report.max_ulp is not None:
            yield (
                f"{prefix}the reference with this spec agrees within {report.max_ulp:.3g} ulp on "
                "fresh inputs"
            )
    if infer.same:
        yield "training and inference give the same outputs"
    if subject.rearranged is not None:
        yield subject.rearranged
    changed = subject.restless[False]
    if changed and not one_mode:
        yield f"inference changes the state: {', '.join(sorted(changed))}"
    single = [name for name, size in zip(names, shape, strict=True) if size == 1]
    if single:
        listed = ", ".join(single)
        also = (
            ", and a pattern that shares it would fit as well" if train.spec or infer.spec else ""
        )
        yield f"{listed}: of a single index it is not known whether it would see others{also}"
    yield from adapter.notes
    yield counted(subject.calls, "call of the layer")


def _declared(layer: Any, axes: str) -> Declaration | None:
    try:
        return declare(layer[0] if isinstance(layer, tuple) and layer else layer, axes=axes)
    except (NormscopeError, AttributeError, TypeError, ValueError):
        return None  # what cannot be read is not compared


def _headline(
    declared: Declaration | None,
    train: ModeReport,
    infer: ModeReport,
    shape: tuple[int, ...],
    subject: Subject,
) -> str:
    if declared is None:
        return ""
    parts = []
    for title, stated, report in (
        ("training", declared.train, train),
        ("inference", declared.infer, infer),
    ):
        if report.spec is None:
            continue
        try:
            parts.append((title, tuple(differences(stated, report.spec, shape))))
        except NormscopeError as error:
            parts.append((title, (f"the declared spec does not fit: {error.args[0]}",)))
    found = [(title, lines) for title, lines in parts if lines]
    if not found:
        return ""
    if len(found) == 2 and found[0][1] == found[1][1]:
        found = [("", found[0][1])]
    said = "; ".join(
        (f"in {title}, " if title else "") + ", ".join(lines) for title, lines in found
    )
    return f"not as its settings declare ({declared.title}): {said}"
