"""Facts that are found in the live model when they are asked for, and what a copy keeps of them."""

from __future__ import annotations

from functools import cached_property
from typing import Any


def no_answer(*arguments: object) -> None:
    """Answers nothing: where there is no live model to ask."""


class Answering:
    """A dataclass with functions that ask the live model.

    A copy in another process, or out of a file, has no model: what is found once is found before
    the copy is made, and its functions answer None.
    """

    def __getstate__(self) -> dict[str, Any]:
        for name, value in vars(type(self)).items():
            if isinstance(value, cached_property):
                getattr(self, name)
        return {k: no_answer if callable(v) else v for k, v in vars(self).items()}
