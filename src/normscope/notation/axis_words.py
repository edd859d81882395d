"""One word per axis, and the sentence that says what it means.

independent     each index has its own statistics
shared          all indices share them
grouped N       those in the same of N groups of neighbours
interleaved N   those whose index is the same modulo N
grouped any     in groups whose number is not known (interleaved any likewise)
mixed           some other subset, as in "(a [b] c [d])"

What is seen of a model, which need not form sets, has further words: window N, causal, anticausal,
none and not known.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from normscope.notation.axis import Part, runs
from normscope.notation.layout import Layout
from normscope.notation.shape import Size, product


def axis_word(layout: Layout, dim: int) -> str:
    """The word for axis `dim` of the array.

    >>> from normscope import spec
    >>> layout = spec("b [s...] (g [c])", g=4).layout((2, 5, 5, 8))
    >>> [axis_word(layout, dim) for dim in range(4)]
    ['independent', 'shared', 'shared', 'grouped 4']
    """
    parts = layout.parts(dim)
    if all(part.size == 1 for part in parts):
        # one index sees all there is, itself; the brackets say how it was meant
        return "shared" if any(part.shared for part in parts) else "independent"
    return word_of_parts(parts)


def word_of_parts(parts: Iterable[Part[Any]]) -> str:
    """The word for an axis that splits so.

    >>> word_of_parts([Part(4, False), Part(8, True)])
    'grouped 4'
    """
    longer = runs(part for part in parts if part.size != 1)
    match [(run[0].shared, product([part.size for part in run])) for run in longer]:
        case []:
            return "independent"
        case [(shared, _)]:
            return "shared" if shared else "independent"
        case [(False, number), (True, _)]:
            return f"grouped {_written(number)}"
        case [(True, _), (False, number)]:
            return f"interleaved {_written(number)}"
        case _:
            return "mixed"


def _written(number: Size) -> str:
    return "any" if number is None else str(number)


def axis_sentence(name: str, word: str) -> str:
    """The sentence that says what the word of an axis means.

    >>> axis_sentence("c", "grouped 4")
    'neighbours in the same of 4 groups see each other'
    >>> axis_sentence("c", "interleaved any")
    'those see each other whose index is the same modulo the number of groups'
    """
    kind, _, number = (word, "", "") if word == "not known" else word.partition(" ")
    groups = "group" if number == "any" else f"of {number} groups"
    modulo = "the number of groups" if number == "any" else number
    return {
        "independent": f"no index of {name} sees another",
        "shared": f"all along {name} see each other",
        "grouped": f"neighbours in the same {groups} see each other",
        "interleaved": f"those see each other whose index is the same modulo {modulo}",
        "window": f"each index sees {number} neighbours, itself included",
        "causal": f"each index of {name} sees itself and those before",
        "anticausal": f"each index of {name} sees itself and those after",
        "none": f"no output changes with any index of {name} that was tried",
        "not known": f"there is one index of {name} only, so nothing can be seen",
    }.get(kind, f"some other part of {name} is seen")
