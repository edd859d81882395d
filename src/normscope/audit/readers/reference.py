"""The model that an audit compares with: read as any other, and paired with the one audited."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from normscope.audit.against import NUMBERS, ORDER, PATH, Against, compared
from normscope.audit.model_graph import ModelGraph
from normscope.audit.readers.asked import Asked
from normscope.audit.readers.registry import read_graph
from normscope.errors import SpecError, printable
from normscope.wording import counted, listed


def with_reference(graph: ModelGraph, reference: Any, asked: Asked) -> ModelGraph:
    """A model with what it is compared with.

    Args:
        graph: of the model.
        reference: another model, or the path of a file, also one of weights alone.
        asked: for the model; the reference is called with the same inputs. Where it does not take
            them, it is called with channels at the other end, or with those that it tells itself.

    Raises:
        ModelFileError: the reference cannot be read.
        SpecError: it is no model, or cannot be called.
    """
    theirs = _read(reference, asked)
    against = compared(graph, theirs)
    return replace(
        graph,
        against=against,
        notes=(*graph.notes, _note(graph, against)),
        details={**graph.details, "against": _details(against)},
    )


def _read(reference: Any, asked: Asked) -> ModelGraph:
    """The reference, called with the first of the inputs that it takes.

    Raises:
        ModelFileError: it cannot be read.
        SpecError: it takes none of them; the text is that of the first.
    """
    refused: SpecError | None = None
    for inputs, axes in _inputs(asked):
        try:
            own = replace(asked, inputs=inputs, axes=axes, promises=(), optimizer=None)
            return read_graph(reference, own)
        except SpecError as error:
            refused = refused or error
    raise SpecError(f"the model to compare with: {refused}") from refused


def _inputs(asked: Asked) -> Iterator[tuple[Any, Any]]:
    """The inputs of the model, those with channels at the other end, none; with names of axes."""
    given = asked.inputs
    yield given, asked.axes
    if given is None:
        return
    if isinstance(getattr(given, "ndim", None), int) and given.ndim > 2:
        image = np.asarray(given)
        yield np.ascontiguousarray(np.moveaxis(image, 1, -1)), None
        yield np.ascontiguousarray(np.moveaxis(image, -1, 1)), None
    yield None, None


_BY = {PATH: "path", NUMBERS: "equal numbers", ORDER: "kind and order"}


def _note(graph: ModelGraph, against: Against) -> str:
    """What was compared, and how much of it found its counterpart."""
    theirs = against.graph
    name = printable(theirs.file) or f"{theirs.name} ({theirs.advice.framework})"
    layers = counted(len(graph.sites), "normalization layer")
    if not against.pairs:
        return f"compared with {name}: none of the {layers} has a counterpart in it"
    ways = [word for by, word in _BY.items() if any(pair.by == by for pair in against.pairs)]
    left = len(against.unpaired)
    more = f"; {left} of its own have none here" if left else ""
    all_of = len(against.pairs) == len(graph.sites)
    share = f"{layers}" if all_of else f"{len(against.pairs)} of the {layers}"
    return f"compared with {name}: {share} paired by {listed(ways)}{more}"


def _details(against: Against) -> dict[str, Any]:
    theirs = against.graph
    return {
        "name": theirs.name,
        "file": printable(theirs.file),
        "format": theirs.format,
        "framework": theirs.framework,
        "pairs": [[pair.site.path, pair.reference.path, pair.by] for pair in against.pairs],
        "unpaired": [site.path for site in against.unpaired],
    }
