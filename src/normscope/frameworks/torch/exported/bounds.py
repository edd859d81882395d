"""How much memory the program of a stranger would take, found without taking it."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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

LEAST_BYTES, OF_INPUTS, OF_WEIGHTS = 2**29, 128, 4
"""Of all results that are there at once: so many, or so many times the inputs or the weights.

Whoever gives large inputs, or a large file, knows that its values are large as well.
"""

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
    held = sum(tensor.untyped_storage().nbytes() for tensor in module.program.held.values())
    taken = sum(
        leaf.nbytes
        for leaf in torch.utils._pytree.tree_leaves((arguments, named))
        if isinstance(leaf, torch.Tensor)
    )
    sizes = _Sizes(max(LEAST_BYTES, OF_INPUTS * taken, OF_WEIGHTS * held))
    try:
        with module.heard_by(sizes), torch.no_grad(), _without_log(), mode:
            module.run(given, by_name)
    except TooLargeError as error:
        raise SpecError(f"the program cannot be run: {error}{advice}") from error
    except Exception as error:  # operators without numbers raise whatever they raise
        said = one_line(error, 100)
        raise SpecError(
            "the program is not run, as it cannot be told how much memory it would take "
            f"({type(error).__name__}: {said}){advice}"
        ) from error


@contextmanager
def _without_log() -> Iterator[None]:
    """Within, PyTorch does not write down what is raised, which is said anyway."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


class TooLargeError(Exception):
    """A result is too large; the text says of what."""


class _Sizes(Listener):
    records = True

    def __init__(self, most: int) -> None:
        self._most = most
        self._steps = 0
        self._there: dict[int, list[int]] = {}
        self._bytes = 0

    def call(self, function: Any, arguments: Sequence[Any], named: dict[str, Any]) -> Any:
        """Call an operator, and look at the sizes of its results."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TooLargeError(f"it has more than {MAX_STEPS} steps")
        result = super().call(function, arguments, named)
        for leaf in torch.utils._pytree.tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                if leaf.numel() > MAX_NUMBERS:
                    raise TooLargeError(f"{function} makes an array of shape {tuple(leaf.shape)}")
                self._count(leaf)
        if self._bytes > self._most:
            raise TooLargeError(
                f"at {function} its results take {self._bytes >> 20} MiB, more than the "
                f"{self._most >> 20} MiB that go with its inputs and weights"
            )
        return result

    def _count(self, tensor: torch.Tensor) -> None:
        """Add its storage, until nobody holds a tensor in it any longer."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        users = self._there.setdefault(key, [0, size])
        self._bytes += size if not users[0] else 0
        users[0] += 1
        weakref.finalize(tensor, self._drop, key)

    def _drop(self, key: int) -> None:
        users = self._there[key]
        users[0] -= 1
        if not users[0]:
            self._bytes -= users[1]
            del self._there[key]
