"""The learning phase of Keras 1, and where chance comes from, while a function of the user runs.

Keras 3 hands both to the layers that ask for them. Code of Keras 1 asked neither: it wrote
`K.in_train_phase(x, alt)` and `K.random_normal(shape)`. So whoever calls such code says first what
holds while it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class Phase:
    """What holds while a function runs: whether it is trained, and the generator of its seeds."""

    training: bool | None = None
    seeds: keras.random.SeedGenerator | None = None


_now: ContextVar[Phase] = ContextVar("phase", default=Phase())  # noqa: B039  # frozen
_forced: bool | None = None


@contextmanager
def calling(
    training: bool | None, seeds: keras.random.SeedGenerator | None = None
) -> Iterator[None]:
    """Let K.learning_phase() and the K.random_... functions know, while the body runs.

    An argument that is None leaves what holds outside; without that, nothing trains.

    >>> with calling(True):
    ...     in_training()
    True
    """
    outer = _now.get()
    token = _now.set(
        Phase(
            bool(outer.training if training is None else training),
            outer.seeds if seeds is None else seeds,
        )
    )
    try:
        yield
    finally:
        _now.reset(token)


def in_training() -> bool | None:
    """Whether what runs is trained; None where nobody has said it."""
    return _now.get().training if _forced is None else _forced


def forced() -> bool | None:
    """What `force` was given."""
    return _forced


def force(training: bool | None) -> None:
    """Let every layer of Keras 1 that is called from now on train, or not; None ends that."""
    global _forced
    _forced = training


def seed_of(number: int | None) -> Any:
    """The seed of a random function: a number as it is, else the generator of what runs."""
    return _now.get().seeds if number is None else number
