"""`Extras`: what surrounds a normalization, an activation after it or the input added to it."""

from __future__ import annotations

from dataclasses import dataclass

from normscope.identify.subject.subject import Floats
from normscope.identify.surroundings.activation import Activation


@dataclass(frozen=True)
class Extras:
    """What is to be taken off an output: y = activation(normalized) + residual * x."""

    activation: Activation | None = None
    residual: float = 0.0

    def undo(self, y: Floats, x: Floats) -> Floats:
        """The normalized values below an output."""
        bare = y - self.residual * x if self.residual else y
        return bare if self.activation is None else self.activation.undo(bare)

    def undo_all(self, y: Floats, x: Floats) -> Floats:
        """The normalized values below the outputs of several calls, after parameters have moved."""
        if self.activation is None or self.activation.undo_from is None:
            return self.undo(y, x)
        bare = y - self.residual * x
        return self.activation.undo_from(bare)(bare)

    def apply(self, z: Floats, x: Floats) -> Floats:
        """The output above normalized values."""
        activated = z if self.activation is None else self.activation.forward(z)
        return activated + self.residual * x if self.residual else activated

    @property
    def words(self) -> tuple[str, ...]:
        """One line for each."""
        found = []
        if self.activation is not None:
            found.append(f"{self.activation.name} after the normalization")
        if self.residual:
            times = "" if self.residual == 1 else f"{self.residual:g} times "
            found.append(f"{times}the input is added to the result (residual)")
        return tuple(found)
