"""`Identification`: what was found out about a layer, as facts and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from normscope.frameworks.declaration import Declaration
from normscope.notation.axis_roles import sample_axis
from normscope.notation.spec import NormSpec
from normscope.notebook import Report
from normscope.sight.index_table import IndexTable
from normscope.sight.sight import Sight


class Kind(StrEnum):
    """The verdict."""

    NORMALIZATION = "normalization"  # and its spec reproduces the layer
    POINTWISE = "pointwise"  # each output depends on the input at its own place only
    MIXING = "mixing"  # outputs depend on several inputs, by no normalization that a spec can say
    UNKNOWN = "unknown"  # it may be a normalization, but no spec reproduces it


@dataclass(frozen=True)
class ShownSet:
    """One statistics set in numbers; the parameters were as found.

    Attributes:
        pattern: of the sets.
        size: of the set.
        x, y: its first elements, in and out.
        mean, variance, mean_square: of all elements that went in.
    """

    pattern: str
    size: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    mean: float
    variance: float
    mean_square: float

    def to_dict(self) -> dict[str, Any]:
        """The set as JSON types; what is not finite is None."""
        return {
            "pattern": self.pattern,
            "set_size": self.size,
            "x": list(self.x),
            "y": [value if np.isfinite(value) else None for value in self.y],
        }


@dataclass(frozen=True)
class ModeReport:
    """What was found out about one mode.

    Attributes:
        sight: who sees whom.
        spec: the normalization, if it is one and was found.
        max_ulp: the largest difference from the reference, if there is a spec.
        certain: false if it may be a normalization that was not recognized.
        notes: the rest of the evidence.
        same: this mode computes the same as training.
        stored: it normalizes by stored statistics.
        shown_sets: where a formula was refused, sets in numbers.
    """

    sight: Sight
    spec: NormSpec | None = None
    max_ulp: float | None = None
    certain: bool = True
    notes: tuple[str, ...] = ()
    same: bool = False
    stored: bool = False
    shown_sets: tuple[ShownSet, ...] = ()

    def at_inference(self) -> ModeReport:
        """What the report says of inference that computes the same: no memory is needed."""
        if self.spec is None or self.spec.pattern is None:
            return self
        return replace(self, spec=replace(self.spec, running=None))


@dataclass(frozen=True, repr=False)
class Identification(Report):
    """What a layer computes, found from outside.

    Attributes:
        title: the layer, in words.
        shape: of the input.
        names: of its axes.
        kind: the verdict.
        modes: what was found in training and in inference; one entry if there is one mode only.
        evidence: lines that say what was seen.
        headline: the surprise, if what was found is not what the layer declares; else "".
        declared: what the layer's own settings declare, if they can be read.
        calls: how often the layer was called.
        indices: for each mode, one table per axis, if they were asked for.
    """

    title: str
    shape: tuple[int, ...]
    names: tuple[str, ...]
    kind: Kind
    train_report: ModeReport
    infer_report: ModeReport
    one_mode: bool
    evidence: tuple[str, ...]
    headline: str
    declared: Declaration | None
    calls: int
    indices: Mapping[str, tuple[IndexTable, ...]] | None = None

    @property
    def train(self) -> NormSpec | None:
        """The normalization of the training mode, or None."""
        return self.train_report.spec

    @property
    def infer(self) -> NormSpec | None:
        """The normalization of the inference mode, or None."""
        return self.infer_report.spec

    @property
    def train_axes(self) -> dict[str, str]:
        """One word per axis: who sees whom in training."""
        return dict(zip(self.names, self.train_report.sight.words, strict=False))

    @property
    def infer_axes(self) -> dict[str, str]:
        """One word per axis: who sees whom in inference."""
        return dict(zip(self.names, self.infer_report.sight.words, strict=False))

    @property
    def sample_independent(self) -> dict[str, bool | None]:
        """Whether a sample's output depends on no other sample; None where it is not known.

        It is not known of a single sample, nor where no sample changes the output.
        """
        axis = sample_axis(self.names)
        return {
            mode: report.sight.apart(axis)
            for mode, report in (("train", self.train_report), ("infer", self.infer_report))
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types.

        "pairs" is there where a formula was refused, "indices" where they were asked for: for each
        mode and axis, the indices of the input that each index of the output sees.
        """
        reports = {"train": self.train_report, "infer": self.infer_report}
        numbers = {
            mode: [one.to_dict() for one in report.shown_sets] for mode, report in reports.items()
        }
        tables = {
            mode: {table.name: table.rows and [list(row) for row in table.rows] for table in found}
            for mode, found in (self.indices or {}).items()
        }
        return {
            "kind": str(self.kind),
            "train": None if self.train is None else self.train.to_dict(),
            "infer": None if self.infer is None else self.infer.to_dict(),
            "train_axes": self.train_axes,
            "infer_axes": self.infer_axes,
            "sample_independent": self.sample_independent,
            "max_ulp": {"train": self.train_report.max_ulp, "infer": self.infer_report.max_ulp},
            "evidence": [*([self.headline] if self.headline else []), *self.evidence],
            **({"pairs": numbers} if any(numbers.values()) else {}),
            **({"indices": tables} if self.indices is not None else {}),
        }

    def __str__(self) -> str:
        from normscope.identify.report import report

        return report(self)
