"""`Condition`: how a layer stood when the model was given."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """How a live layer stood when the model was given; of a file, what it says of it.

    Attributes:
        training: whether the layer itself was in training mode; None where its framework keeps no
            such thing.
        trainable: whether any of its own parameters was to be learned; None where it has none, or
            where that is not known.
        updates: how often its running statistics were updated; None where nothing counts.
        unused: the names of arrays that it holds and that no mode reads.
    """

    training: bool | None = None
    trainable: bool | None = None
    updates: int | None = None
    unused: tuple[str, ...] = ()
