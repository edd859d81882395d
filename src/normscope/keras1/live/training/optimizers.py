"""The optimizers of Keras 1.2.2, by its rules and with its arguments, as optimizers of Keras 3.

Those of Keras 3 differ: RMSprop and Adagrad add epsilon inside the root, Nadam has no
`schedule_decay`, every epsilon and some learning rates have another default, and `clipnorm` clips
each gradient by its own norm. Here p is a weight, g its gradient, t the step counted from 1, and
lr is divided by 1 + decay * (t - 1). Source: Keras 1.2.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from normscope.errors import SpecError
from normscope.keras1.live.layers.base import Tensor, registered
from normscope.keras1.live.training.optimizer import Optimizer

SCHEDULE_BASE = 0.96  # of Nadam
MAX_SCHEDULE = 10_000  # steps after which the product in Nadam's schedule is 0 in any dtype


@registered
class SGD(Optimizer):
    """v = momentum * v - lr * g;  p = p + v, with nesterov p = p + momentum * v - lr * g.

    >>> SGD(lr=0.5, momentum=0.9).get_config()
    {'lr': 0.5, 'momentum': 0.9, 'decay': 0.0, 'nesterov': False}
    """

    settings = ("momentum", "decay", "nesterov")
    slots = ("moment",)
    counts = True

    def __init__(
        self,
        lr: float = 0.01,
        momentum: float = 0.0,
        decay: float = 0.0,
        nesterov: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(lr, decay, **common)
        self.momentum = momentum
        self.nesterov = nesterov

    def step(self, p: Tensor, g: Tensor, lr: Tensor, *slots: Tensor) -> None:
        """The rule."""
        (m,) = slots
        velocity = self.momentum * m - lr * g
        self.assign(m, velocity)
        change = self.momentum * velocity - lr * g if self.nesterov else velocity
        self.assign(p, p + change)


@registered
class RMSprop(Optimizer):
    """a = rho * a + (1 - rho) * g**2;  p = p - lr * g / (sqrt(a) + epsilon)."""

    settings = ("rho", "decay", "epsilon")
    slots = ("accumulator",)

    def __init__(
        self,
        lr: float = 0.001,
        rho: float = 0.9,
        epsilon: float = 1e-8,
        decay: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(lr, decay, **common)
        self.rho = rho
        self.epsilon = epsilon

    def step(self, p: Tensor, g: Tensor, lr: Tensor, *slots: Tensor) -> None:
        """The rule."""
        (a,) = slots
        mean = self.rho * a + (1 - self.rho) * ops.square(g)
        self.assign(a, mean)
        self.assign(p, p - lr * g / (ops.sqrt(mean) + self.epsilon))


@registered
class Adagrad(Optimizer):
    """a = a + g**2;  p = p - lr * g / (sqrt(a) + epsilon)."""

    settings = ("decay", "epsilon")
    slots = ("accumulator",)

    def __init__(
        self, lr: float = 0.01, epsilon: float = 1e-8, decay: float = 0.0, **common: Any
    ) -> None:
        super().__init__(lr, decay, **common)
        self.epsilon = epsilon

    def step(self, p: Tensor, g: Tensor, lr: Tensor, *slots: Tensor) -> None:
        """The rule."""
        (a,) = slots
        total = a + ops.square(g)
        self.assign(a, total)
        self.assign(p, p - lr * g / (ops.sqrt(total) + self.epsilon))


@registered
class Adadelta(Optimizer):
    """Steps by the root of the mean of past steps, over that of past gradients.

    a = rho * a + (1 - rho) * g**2
    u = g * sqrt(d + epsilon) / sqrt(a + epsilon)
    p = p - lr * u
    d = rho * d + (1 - rho) * u**2
    """

    settings = ("rho", "decay", "epsilon")
    slots = ("accumulator", "delta_accumulator")

    def __init__(
        self,
        lr: float = 1.0,
        rho: float = 0.95,
        epsilon: float = 1e-8,
        decay: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(lr, decay, **common)
        self.rho = rho
        self.epsilon = epsilon

    def step(self, p: Tensor, g: Tensor, lr: Tensor, *slots: Tensor) -> None:
        """The rule."""
        a, d = slots
        mean = self.rho * a + (1 - self.rho) * ops.square(g)
        update = g * ops.sqrt(d + self.epsilon) / ops.sqrt(mean + self.epsilon)
        self.assign(a, mean)
        self.assign(p, p - lr * update)
        self.assign(d, self.rho * d + (1 - self.rho) * ops.square(update))


class _WithBetas(Optimizer):
    """Base of the optimizers with two rates of decay, which store the number of steps."""

    counts = True

    def __init__(
        self, lr: float, beta_1: float, beta_2: float, epsilon: float, **common: Any
    ) -> None:
        super().__init__(lr, **common)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def mean(self, m: Tensor, g: Tensor) -> Tensor:
        """The mean of the gradients, kept in the slot m."""
        mean = self.beta_1 * m + (1 - self.beta_1) * g
        self.assign(m, mean)
        return mean

    def mean_square(self, v: Tensor, g: Tensor) -> Tensor:
        """The mean of the squares of the gradients, kept in the slot v."""
        mean = self.beta_2 * v + (1 - self.beta_2) * ops.square(g)
        self.assign(v, mean)
        return mean


@registered
class Adam(_WithBetas):
    """Means of the gradients and of their squares, corrected for their start at 0.

    m = beta_1 * m + (1 - beta_1) * g
    v = beta_2 * v + (1 - beta_2) * g**2
    p = p - lr * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon)
    """

    settings = ("beta_1", "beta_2", "decay", "epsilon")
    slots = ("m", "v")

    def __init__(
        self,
        lr: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        decay: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(lr, beta_1, beta_2, epsilon, decay=decay, **common)

    def step(self, p: Tensor, g: Tensor, lr: Tensor, *slots: Tensor) -> None:
        """The rule."""
        t = self.count(p)
        rate = lr * ops.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        mean, mean_square = self.mean(slots[0], g), self.mean_square(slots[1], g)
        self.assign(p, p - rate * mean / (ops.sqrt(mean_square) + self.epsilon))


@registered
class Adamax(_WithBetas):
    """Adam with the largest gradient in place of the mean square.

    m = beta_1 * m + (1 - beta_1) * g
    u = max(beta_2 * u, abs(g))
    p = p - lr / (1 - beta_1**t) * m / (u + epsilon)
    """

    settings = ("beta_1", "beta_2", "decay", "epsilon")
    slots = ("m", "u")

    def __init__(
        self,
        lr: float = 0.002,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        decay: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(lr, beta_1, beta_2, epsilon, decay=decay, **common)

    def step(self, p: Tensor, g: Tensor, lr: Tensor, *slots: Tensor) -> None:
        """The rule."""
        m, u = slots
        mean, largest = self.mean(m, g), ops.maximum(self.beta_2 * u, ops.abs(g))
        self.assign(u, largest)
        rate = lr / (1 - self.beta_1 ** self.count(p))
        self.assign(p, p - rate * mean / (largest + self.epsilon))


@registered
class Nadam(_WithBetas):
    """Adam with the momentum of Nesterov, which grows by a schedule.

        w(t) = beta_1 * (1 - 0.96 ** (t * schedule_decay) / 2);  s = s * w(t), from s = 1
        m, v as in Adam
        p = p - lr * q / (sqrt(v / (1 - beta_2**t)) + epsilon), where
        q = (1 - w(t)) * g / (1 - s) + w(t + 1) * m / (1 - s * w(t + 1))

    A file of Keras 1 does not store s, and Keras 1 began it anew after a load. It follows from t,
    so here it goes on.
    """

    settings = ("beta_1", "beta_2", "epsilon", "schedule_decay")
    slots = ("m", "v")

    def __init__(
        self,
        lr: float = 0.002,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        schedule_decay: float = 0.004,
        **common: Any,
    ) -> None:
        super().__init__(lr, beta_1, beta_2, epsilon, **common)
        self.schedule_decay = schedule_decay
        self.schedules: list[Tensor] = []

    def build(self, variables: Sequence[Tensor]) -> None:
        """Make the slots, and s, which is kept for each weight."""
        if self.built:
            return
        super().build(variables)
        self.schedules = [
            self.add_variable((), initializer="ones", dtype=variable.dtype, name=f"schedule_{k}")
            for k, variable in enumerate(variables)
        ]

    def momentum_at(self, t: Any) -> Any:
        """The momentum w(t)."""
        return self.beta_1 * (1 - 0.5 * SCHEDULE_BASE ** (t * self.schedule_decay))

    def step(self, p: Tensor, g: Tensor, lr: Tensor, *slots: Tensor) -> None:
        """The rule."""
        t = self.count(p)
        now, then = self.momentum_at(t), self.momentum_at(t + 1)
        schedule = self.schedules[self._get_variable_index(p)]
        product = schedule * now
        self.assign(schedule, product)
        mean, mean_square = self.mean(slots[0], g), self.mean_square(slots[1], g)
        ahead = (1 - now) * g / (1 - product) + then * mean / (1 - product * then)
        root = ops.sqrt(mean_square / (1 - self.beta_2**t))
        self.assign(p, p - lr * ahead / (root + self.epsilon))

    def set_state(self, arrays: Sequence[npt.NDArray[np.generic]], order: Sequence[int]) -> None:
        """Set the state of a file, and s by the number of steps in it."""
        super().set_state(arrays, order)
        steps = min(int(ops.convert_to_numpy(self.iterations)), MAX_SCHEDULE)
        product = float(np.prod(self.momentum_at(np.arange(1, steps + 1))))
        for schedule in self.schedules:
            schedule.assign(product)


OPTIMIZERS: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls for cls in (SGD, RMSprop, Adagrad, Adadelta, Adam, Adamax, Nadam)
}


def get(given: Any) -> keras.optimizers.Optimizer:
    """An optimizer by name, by {"class_name", "config"} as in a file, or as it is.

    Raises:
        SpecError: Keras 1 has no optimizer of that name, or not with these settings.

    >>> get("adam").get_config()["epsilon"]
    1e-08
    """
    if isinstance(given, keras.optimizers.Optimizer):
        return given
    name, config = given, None
    if isinstance(given, Mapping):
        name, config = given.get("class_name"), given.get("config")
    cls = OPTIMIZERS.get(name.lower()) if isinstance(name, str) else None
    if cls is None:
        known = ", ".join(cls.__name__ for cls in OPTIMIZERS.values())
        raise SpecError(f"Keras 1 has no optimizer {name!r:.60}; it has {known}")
    try:
        return cls(**(config or {}))
    except (TypeError, ValueError) as error:
        raise SpecError(f"the optimizer {cls.__name__} cannot be made: {error}") from None
