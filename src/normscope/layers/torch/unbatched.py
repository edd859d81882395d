"""One sample without its batch axis, as torch's instance norms take it beside batches."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from normscope.errors import SpecError
from normscope.notation.pattern import Repeat
from normscope.notation.spec import NormSpec
from normscope.notation.values import flag


def batch_of_one(value: object) -> Any:
    """A tensor with a batch axis in front; what is none is left for its own check.

    >>> import torch
    >>> batch_of_one(torch.ones(3, 2)).shape
    torch.Size([1, 3, 2])
    """
    return value[None] if isinstance(value, Tensor) else value


def checked_unbatched(unbatched: object, spec: NormSpec) -> bool:
    """Whether one sample may come without its batch axis.

    Raises:
        SpecError: it is neither True nor False, or one sample could not be told from a batch.
    """
    wanted = flag("unbatched", unbatched)
    if wanted and any(isinstance(item, Repeat) for item in spec.parsed.items):
        raise SpecError(
            "unbatched=True tells one sample from a batch by its number of axes, and "
            f'"{spec.pattern}" takes several numbers: write each axis instead of dots, or leave '
            "unbatched out"
        )
    return wanted
