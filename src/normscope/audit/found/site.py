"""`FoundSite`: what a model normalizes at one place, in both modes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from normscope.frameworks.declaration import Declaration
from normscope.notation.spec import NormSpec

if TYPE_CHECKING:
    from normscope.audit.found.matching import Placed
    from normscope.graph.neighbours import Neighbours
    from normscope.graph.operators import Call
    from normscope.graph.sites import Site


class Kind(StrEnum):
    """What a site turned out to be."""

    NORMALIZATION = "normalization"  # and its spec reproduces it
    STORED = "stored"  # by statistics that the model holds, in every mode that was traced
    MIXING = "mixing"  # like a normalization, by no spec that can be stated
    UNKNOWN = "unknown"  # it may be a normalization, but no spec reproduces it


@dataclass(frozen=True, eq=False)
class FoundSite:
    """What a model normalizes at one place.

    Attributes:
        path: the innermost layer that holds the site, as its user names it; "" is the model itself.
        type: the class of that layer; "" where it is not known.
        operator: the native name of the operator, or of the first statistic.
        source: the line of the program, "file.py:12"; "" if it is not known.
        call: of that layer; `call.number` tells apart the calls of a layer that is used again.
        input_shape: of what is normalized, in the caller's own axes.
        dtype: of what is normalized.
        kind: what it turned out to be.
        train, infer: the specs of the two modes; None where none was found, or where the site is
            not there in this mode.
        modes: those in which the site is there: True is training.
        verified: whether the specs reproduce what the model computes there.
        max_ulp: the largest difference seen, in units in the last place.
        declared: what the layer's own settings declare; None where they say nothing, or where the
            layer does more than this site.
        differs: in words, what is found but not declared; "" if that agrees or nothing is declared.
        words: what it does, where no spec says it, or why nothing could be said; else "".
        dismissed: why it is no normalization after all; then all of the above is empty.
        neighbours: what stands around it, in the first of its modes.
        arrays: stored values by role: scale, bias, running_mean, running_var; those there are.
        parameters: where the model holds these: role -> path.
        site: in the operator graph of the first of its modes.
        placed: where it is, in each of its modes; True is training.
    """

    path: str
    type: str
    operator: str
    source: str
    call: Call
    input_shape: tuple[int, ...]
    dtype: str
    kind: Kind
    train: NormSpec | None
    infer: NormSpec | None
    modes: tuple[bool, ...]
    verified: bool
    max_ulp: float | None
    declared: Declaration | None
    differs: str
    words: str
    dismissed: str
    neighbours: Neighbours
    site: Site
    placed: Mapping[bool, Placed]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
