"""Settings and names: floatx, epsilon, dim_ordering, learning phase, the backend."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from normscope.errors import SpecError
from normscope.keras1.live.layers import phase
from normscope.keras1.live.layers.ordering import image_dim_ordering, set_image_dim_ordering

__all__ = [
    "backend",
    "cast_to_floatx",
    "clear_session",
    "epsilon",
    "floatx",
    "get_uid",
    "image_dim_ordering",
    "is_keras_tensor",
    "is_sparse",
    "learning_phase",
    "reset_uids",
    "set_epsilon",
    "set_floatx",
    "set_image_dim_ordering",
    "set_learning_phase",
]


class LearningPhase:
    """What `learning_phase()` gives where nothing runs: an input of `function`, 0 or 1."""

    def __repr__(self) -> str:
        return "learning_phase()"


LEARNING_PHASE = LearningPhase()


def learning_phase() -> Any:
    """1 in training and 0 outside it, while a layer runs; else an input for `function`.

    >>> learning_phase()
    learning_phase()
    """
    training = phase.in_training()
    return LEARNING_PHASE if training is None else int(training)


def set_learning_phase(value: int) -> None:
    """Let all layers that are called from now on train (1), or not (0)."""
    if value not in (0, 1):
        raise SpecError(f"the learning phase is 0 or 1, not {value!r}")
    phase.force(bool(value))


def backend() -> str:
    """The backend of Keras 3: "tensorflow", "jax" or "torch"."""
    name: str = keras.backend.backend()
    return name


def epsilon() -> float:
    """The small number that is added where something might be 0: 1e-7 unless set.

    >>> epsilon()
    1e-07
    """
    return float(keras.config.epsilon())


def set_epsilon(e: float) -> None:
    """Set `epsilon`."""
    keras.config.set_epsilon(e)


def floatx() -> str:
    """The dtype of what is made: "float32" unless set."""
    name: str = keras.config.floatx()
    return name


def set_floatx(floatx: str) -> None:
    """Set `floatx`: "float16", "float32" or "float64"."""
    if floatx not in ("float16", "float32", "float64"):
        raise SpecError(f"floatx is 'float16', 'float32' or 'float64', not {floatx!r}")
    keras.config.set_floatx(floatx)


def cast_to_floatx(x: Any) -> Any:
    """An array of NumPy as `floatx`."""
    return np.asarray(x, dtype=floatx())


def get_uid(prefix: str = "") -> int:
    """The next number for names that begin so."""
    number: int = keras.backend.get_uid(prefix)
    return number


def reset_uids() -> None:
    """Let all numbers of names begin with 1."""
    keras.utils.clear_session()


def clear_session() -> None:
    """Forget what was made: names begin anew, memory is freed."""
    keras.utils.clear_session()


def is_keras_tensor(x: Any) -> bool:
    """Whether a tensor is symbolic: the output of `Input` or of a layer called on one."""
    return isinstance(x, keras.KerasTensor)


def is_sparse(tensor: Any) -> bool:
    """Whether a tensor is sparse."""
    return bool(getattr(tensor, "sparse", False))
