"""All readers of models, and the one that takes a given file or object."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Protocol

from normscope.audit.model_graph import ModelGraph
from normscope.audit.readers import keras1, live, weights
from normscope.audit.readers.asked import Asked
from normscope.audit.readers.promises_read import promises_read
from normscope.errors import NormscopeError, SpecError
from normscope.files.readable import Readable, not_read
from normscope.files.recognition import recognise
from normscope.frameworks.layer_expression import is_code
from normscope.notation.values import shown
from normscope.wording import listed, quoted


class Reader(Protocol):
    """A module that reads one kind of model. It imports its framework in functions only.

    Attributes:
        TAKES: what is given to it, in words: "the path of a model file of Keras 1 (.h5, .json)".
        READS: the files that it reads; empty for a reader of objects.
    """

    TAKES: str
    READS: tuple[Readable, ...]

    def recognises(self, source: object) -> bool:
        """Whether a path or an object is of that kind; only a few KiB of a file are looked at."""

    def read(self, source: Any, asked: Asked) -> ModelGraph:
        """Read what it recognises, as the caller asked."""


READERS: tuple[Reader, ...] = (keras1, live, weights)
"""In the order in which they are asked."""


def read_graph(source: object, asked: Asked) -> ModelGraph:
    """Read a model.

    Args:
        source: the path of its file, or the model.
        asked: what the caller said besides.

    Raises:
        ModelFileError: it cannot be read, or contradicts itself.
        SpecError: it is no model, or there is no such release or backend.
    """
    if isinstance(source, str) and is_code(source):
        raise SpecError(
            f"{shown(source)} is code, and a text is only the path of a file here: give the model "
            f"itself, audit(model, inputs), or run normscope audit {quoted(source)}"
        )
    for reader in READERS:
        if reader.recognises(source):
            graph = reader.read(source, asked)
            if graph.followed or not asked.promises:
                return graph
            return replace(graph, promises=promises_read(graph, asked.promises))
    raise _not_recognised(source)


def _not_recognised(source: object) -> NormscopeError:
    """The error for what no reader takes: what it is, and which call takes it."""
    if isinstance(source, str | os.PathLike) and source != "":
        path = os.fspath(source)
        return not_read(path, recognise(path), *(f for reader in READERS for f in reader.READS))
    takes = listed([reader.TAKES for reader in READERS], "or")
    return SpecError(f"audit takes {takes}, not {_what(source)}{_use(source)}")


def _what(source: object) -> str:
    """What came, in words."""
    if isinstance(source, str):
        return "an empty text"
    if source is None:
        return "None"
    if isinstance(source, type):
        return f"the class {source.__qualname__}"
    return f"an object of {type(source).__module__}.{type(source).__qualname__}"


def _use(source: object) -> str:
    """What takes it, or how it is given; "" if there is nothing to say."""
    if hasattr(source, "dtype") and hasattr(source, "shape"):
        return "; for an array write ns.normalize(x, pattern)"
    if isinstance(source, bytes):
        return "; write the path as a str"
    if hasattr(source, "read") and isinstance(name := getattr(source, "name", None), str):
        return f"; write its path, {name!r}"
    if isinstance(source, type):
        return f"; make an instance, {source.__qualname__}(...)"
    return ""
