"""How much memory the program of a stranger would take, found without taking it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from normscope.errors import SpecError
from normscope.frameworks.torch.exported.module import ProgramModule
from normscope.frameworks.torch.exported.running import Listener
from normscope.wording import one_line

MAX_NUMBERS = 2**30
"""Of one array that an operator makes."""

MAX_STEPS = 200_000


def check_bounds(module: ProgramModule, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Run a program with tensors that have no numbers, and look at the sizes of all results.

    Raises:
        SpecError: a result is too large, or a size depends on numbers, so that it is not known.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv(), static_shapes=True)
    advice = "; if you trust the file, give what torch.export.load makes of it"
    given, by_name = torch.utils._pytree.tree_map_only(
        torch.Tensor, mode.from_tensor, (arguments, named)
    )
    sizes = _Sizes()
    try:
        with module.heard_by(sizes), torch.no_grad(), mode:
            module.run(given, by_name)
    except TooLargeError as error:
        raise SpecError(f"the program cannot be run: {error}{advice}") from error
    except Exception as error:  # operators without numbers raise whatever they raise
        said = one_line(error, 100)
        raise SpecError(
            "the program is not run, as it cannot be told how much memory it would take "
            f"({type(error).__name__}: {said}){advice}"
        ) from error


class TooLargeError(Exception):
    """A result is too large; the text says of what."""


class _Sizes(Listener):
    records = True

    def __init__(self) -> None:
        self._steps = 0

    def call(self, function: Any, arguments: Sequence[Any], named: dict[str, Any]) -> Any:
        """Call an operator, and look at the sizes of its results."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TooLargeError(f"it has more than {MAX_STEPS} steps")
        result = super().call(function, arguments, named)
        for leaf in torch.utils._pytree.tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and leaf.numel() > MAX_NUMBERS:
                raise TooLargeError(f"{function} makes an array of shape {tuple(leaf.shape)}")
        return result
