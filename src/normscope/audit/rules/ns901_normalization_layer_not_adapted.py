"""NS901 normalization-layer-not-adapted: a layer that should scale the input does not, or wrongly.

What it finds:
    A Keras `Normalization` that was never adapted, or arrays of a model that are called mean and
    std and still hold 0 and 1, at its input: they pass data through unchanged. Statistics that were
    taken per row of an image instead of per channel. And features that were constant in the data
    of `adapt`, whose variance is 0: they are multiplied by 10,000,000.

Why it matters:
    Training begins on raw units, and nothing says so. A feature that was constant in the sample for
    `adapt` and is not in use drowns all others.

How it is found:
    From the operators that scale and shift an input by constants, before the first product, run on
    the numbers 0 and 1; and from the axis over which the first product sums.

Measured:
    The scale and the shift themselves; how many features are multiplied by 100,000 or more.

Known limits:
    Statistics of 0 and 1 that were given on purpose look the same. A model that is about to be
    adapted is found too: adapt it before the audit.

Use instead:
    `layer.adapt(training_data)` before the first call, with axis=-1 for channels on the last axis;
    drop constant features.

References:
    keras#16296, tensorflow#55343, handson-ml3 PR 198, keras#15219, keras#20011
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from normscope.audit.entry import Entry, InputStep
from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph
from normscope.audit.rule import Rule, Symptom
from normscope.wording import counted

_HUGE = 1e5
"""A feature with a deviation of 0.00001 is constant but for rounding."""


class NormalizationLayerNotAdapted(Rule):
    code, name, since = "NS901", "normalization-layer-not-adapted", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.LEARNING, Symptom.NAN)

    def check_model(self, graph: ModelGraph) -> Iterator[Finding]:
        told: set[str] = set()
        for entry in graph.entries:
            layers: dict[str, list[InputStep]] = {}
            for step in entry.steps:
                layers.setdefault(step.path, []).append(step)
            for path, steps in layers.items():
                if path not in told:
                    found = [*self._layer(path, steps, entry)]
                    told.update(finding.path for finding in found)
                    yield from found

    def _layer(self, path: str, steps: list[InputStep], entry: Entry) -> Iterator[Finding]:
        idle = [step for step in steps if step.does_nothing]
        keras = steps[0].type == "Normalization"
        if len(idle) > 1 and ((keras and len(idle) == len(steps)) or _statistics(idle)):
            yield self.finding(
                path,
                "its mean is 0 and its deviation 1, as before any data: "
                f"{entry.name or 'the input'} passes through unchanged",
                fix=f"{'adapt it to' if keras else 'set them from'} the training data, before the "
                "first call",
                evidence={"input": entry.name, "scale": 1.0, "shift": 0.0},
            )
            return
        if not keras and not _statistics(steps):
            return
        scales = max((abs(step.scale).ravel() for step in steps), key=lambda one: one.max())
        huge = int((scales >= _HUGE).sum())
        if huge:
            yield self.finding(
                path,
                f"{counted(huge, 'feature')} of {scales.size} had the variance 0 in the data that "
                f"it was adapted to: a change there is multiplied by {scales.max():,.0f}",
                fix="leave constant features out, or give them a variance of 1",
                evidence={"features": huge, "scale": float(scales.max())},
            )
        axes = {axis for step in steps for axis in step.axes}
        channels = entry.channel_axis
        if (
            channels is not None
            and len(axes) == 1
            and channels not in axes
            and len(entry.shape) > 2
        ):
            (axis,) = axes
            yield self.finding(
                path,
                f"mean and deviation were taken per index of axis {axis}, of length "
                f"{entry.shape[axis]}, but the channels are on axis {channels}, of length "
                f"{entry.shape[channels]}",
                fix=f"adapt it with axis={channels if channels < len(entry.shape) - 1 else -1}",
                evidence={"axis": axis, "channel_axis": channels, "shape": list(entry.shape)},
            )


def _statistics(steps: list[InputStep]) -> bool:
    """Whether arrays of the model are called a mean and a deviation."""
    words = {re.split(r"\W+", name.rstrip("'])"))[-1].lower() for s in steps for name in s.names}
    mean = any("mean" in word or word == "mu" for word in words)
    spread = any(re.search("std|var|sigma|scale", word) for word in words)
    return mean and spread
