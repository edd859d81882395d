"""What was seen, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.sight.sight import Sight
from normscope.wording import counted


def describe_silent(sight: Sight) -> Iterator[str]:
    """Which inputs change nothing, in words; nothing is said where none changes anything."""
    if sight.silent and sight.reach[1]:
        some = " and ".join(map(str, sight.silent[:2]))
        verb = "changes" if len(sight.silent) == 1 else "change"
        more = ", among them" if len(sight.silent) > 2 else ":"
        yield f"{len(sight.silent)} of {sight.tried} inputs tried {verb} no output{more} {some}"


def describe_reach(sight: Sight) -> Iterator[str]:
    """How many outputs one input reaches, in words."""
    least, most = sight.reach
    total = int(np.prod(sight.output_shape))
    if most == 0:
        yield "the output does not depend on the input"
    elif least == most:
        yield f"one input changes {most:,} of {counted(total, 'output')}"
    else:
        yield f"one input changes {least:,} to {most:,} of {counted(total, 'output')}"
