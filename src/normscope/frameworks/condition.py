"""`Condition`: how a layer stood when the model was given."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """How a live layer stood when the model was given; of a file, what it says of it.

    Attributes:
        training: whether the layer itself was in training mode; None where its framework keeps no
            such thing.
        trainable: whether any of its own parameters was to be learned, or of the nearest layer
            around it that has any; None where there are none, or where that is not known.
        learning: whether anything in the model is to be learned; None where that is not known.
        updates: how often its running statistics were updated; None where nothing counts.
        updates_per_step: how often one training step, forward and backward, updates them, where
            that was counted or seen; else None.
        inputs_per_step: from how many different inputs; None likewise.
        decay: the share of the old statistics that an update keeps, as the layer states it; None
            where it states none.
        told: the mode that a call at inference gives the layer itself: True is training; None where
            it gives none, or where that is not seen.
        overrides: the normalization of its framework whose call its class replaces by code of its
            own; "" if it replaces none.
        unused: the names of arrays that it holds and that no mode reads.
    """

    training: bool | None = None
    trainable: bool | None = None
    learning: bool | None = None
    updates: int | None = None
    updates_per_step: int | None = None
    inputs_per_step: int | None = None
    decay: float | None = None
    told: bool | None = None
    overrides: str = ""
    unused: tuple[str, ...] = ()


UNKNOWN = Condition()
"""That of which nothing is known."""
