"""NS704 padding-pollution: padded positions enter the statistics of a normalization.

What it finds:
    A model that is told which positions of a batch are padded, and in it a normalization whose
    statistics are taken over these positions too, without the mask.

Why it matters:
    Mean and variance shrink or grow with the share of padding, so that the same sample comes out
    differently with longer neighbours in its batch. Running statistics are biased towards what
    stands in the padding.

How it is found:
    Padding is told by an input that is named a mask, padding or lengths, or by a layer of Keras
    that makes a mask. The statistics span the axis of the positions, and nothing that depends on
    the inputs enters the normalization but what is normalized.

Measured:
    Normal random numbers are run through the layer as they are, and with zeros in the padded
    positions: by how much the other positions of its output move, at most. Where no position is
    padded in the inputs of the audit, the later half of every second sample is taken for it.

Known limits:
    An axis of positions that has become shorter, as behind a convolution with a stride, is not
    recognized. What a mask has set to zero before counts as a zero all the same.

Use instead:
    A layer norm over the features of each position, or a norm that takes the mask: Flax
    nnx.BatchNorm(...)(x, mask=mask), keras.layers.BatchNormalization behind Masking.

References:
    pytorch#70529, pytorch#81985, pytorch#25910, tensorflow#30161, keras#18759, flax#3508
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.padding import Padding
from normscope.audit.rule import Rule, Symptom

_NOTHING = 1e-3
"""A smaller change, in standard deviations, is none."""


class PaddingPollution(Rule):
    code, name, since = "NS704", "padding-pollution", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.SIZE, Symptom.BATCH)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        padding = graph.padding
        if padding is None or site.around.side_inputs or site.sample_axes != (0,):
            return
        axis = _axis_of_positions(site, padding)
        if axis is None:
            return
        training = site.infer is None or site.infer.pattern is None
        moved = _moved(site, padding, axis, training)
        if moved is None or moved < _NOTHING:
            return
        share = float(padding.positions.mean())
        where = "with" if padding.given else "were"
        mode = "in training" if training else "at inference too"
        yield self.finding(
            site,
            f"its statistics are taken over padded positions {mode}, though {padding.told_by} "
            f"tells them: {where} {share:.0%} of the positions padded by zeros, the others move by "
            f"up to {moved:.2g}",
            fix="normalize the features of each position on its own (a layer norm), or use a norm "
            "that takes the mask",
            evidence={"told_by": padding.told_by, "padded": share, "moved": moved, "axis": axis},
        )


def _axis_of_positions(site: Site, padding: Padding) -> int | None:
    """The axis of the positions, if statistics are shared along it; None if it is not known."""
    samples, length = padding.positions.shape
    shape = site.input_shape
    if shape is None or len(shape) < 2 or shape[0] != samples or length < 2:
        return None
    axes = [axis for axis, size in enumerate(shape) if axis and size == length]
    return axes[0] if len(axes) == 1 and site.word(axes[0]) == "shared" else None


def _moved(site: Site, padding: Padding, axis: int, training: bool) -> float | None:
    """By how much padding moves what a site gives at the other positions, at most."""
    if site.probe is None or site.input_shape is None:
        return None
    shape = [int(size or 2) for size in site.input_shape]
    lengths = [size if n in (0, axis) else 1 for n, size in enumerate(shape)]
    padded = padding.positions.reshape(lengths)
    x = np.random.default_rng(0).standard_normal(shape)
    clean = site.probe(x, training=training)
    polluted = site.probe(np.where(padded, 0.0, x), training=training)
    if clean is None or polluted is None or clean.shape != x.shape:
        return None
    apart = np.where(padded, 0.0, np.abs(clean - polluted))
    return float(apart.max()) if np.isfinite(apart).all() else None
