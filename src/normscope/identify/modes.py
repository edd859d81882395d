"""Both modes of a layer together: which of them say the same, and what each adds to the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from normscope.identify.examination import Examination, Examined, raised
from normscope.identify.result import ModeReport
from normscope.identify.subject.subject import Subject
from normscope.sight.index_table import IndexTable


@dataclass(frozen=True)
class Modes:
    """What was found out about the modes of a layer.

    Attributes:
        train, infer: the report on each; of a layer with one mode they say the same.
        one_mode: nothing tells the layer a mode.
        indices: for each mode, one table per axis; None if they were not asked for.
    """

    train: ModeReport
    infer: ModeReport
    one_mode: bool
    indices: Mapping[str, tuple[IndexTable, ...]] | None = None

    @staticmethod
    def refused(error: Exception, indices: bool) -> Modes:
        """What is known of a layer that refuses its first call."""
        return Modes(raised(error), raised(error), True, {} if indices else None)

    @property
    def reports(self) -> tuple[ModeReport, ModeReport]:
        """The report on each mode."""
        return self.train, self.infer


def examine(subject: Subject, names: tuple[str, ...], indices: bool) -> Modes:
    """Examine the modes of a layer.

    Args:
        subject: the layer, whose arrays are put back afterwards.
        names: of the axes of its input.
        indices: also make a table for each axis: index by index, who sees whom.
    """
    examination = Examination(subject, names)
    one, *two = subject.adapter.modes
    train = examination.mode(one)
    if two:
        infer = examination.inference_after(train)
    else:
        infer = replace(train, report=train.report.at_inference())
    apart = bool(two) and not infer.report.same
    with_memory = _with_memory_of(train.report, infer.report)
    # inference first, as long as nothing is trained
    infer_report = examination.with_shown_sets(infer) if apart else infer.report
    train_report = examination.with_shown_sets(replace(train, report=with_memory))
    if not apart:
        infer_report = replace(infer_report, shown_sets=train_report.shown_sets)
    tables = _tables(examination, one, train, infer, apart) if indices else None
    return Modes(train_report, infer_report, not two, tables)


def _tables(
    examination: Examination, training: bool, train: Examined, infer: Examined, apart: bool
) -> dict[str, tuple[IndexTable, ...]]:
    """The tables of each mode; of one mode, or of two that are the same, once."""
    if not apart:
        found = examination.indices(training, train)
        return {"train": found, "infer": found}
    # inference first: it may use what training leaves
    after = examination.indices(False, infer)
    return {"train": examination.indices(True, train), "infer": after}


def _with_memory_of(train: ModeReport, infer: ModeReport) -> ModeReport:
    """Training that changes no statistics which inference uses all the same: their decay is 1."""
    if train.spec is None or infer.spec is None or infer.same or not infer.stored:
        return train
    if train.spec.running is not None or infer.spec.running is None:
        return train
    return replace(train, spec=replace(train.spec, running=infer.spec.running))
