"""What was seen, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.sight.sight import Sight
from normscope.wording import counted


def axis_sentence(name: str, word: str) -> str:
    """What a word says of an axis.

    >>> axis_sentence("c", "grouped 4")
    'neighbours in the same of 4 groups see each other'
    """
    kind, _, number = (word, "", "") if word == "not known" else word.partition(" ")
    return {
        "independent": f"no index of {name} sees another",
        "shared": f"all along {name} see each other",
        "grouped": f"neighbours in the same of {number} groups see each other",
        "interleaved": f"those see each other whose index is the same modulo {number}",
        "window": f"each index sees {number} neighbours, itself included",
        "causal": f"each index of {name} sees itself and those before",
        "anticausal": f"each index of {name} sees itself and those after",
        "none": f"no output changes with any index of {name} that was tried",
        "not known": f"there is one index of {name} only, so nothing can be seen",
    }.get(kind, f"some other part of {name} is seen")


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
