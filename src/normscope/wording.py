"""Words that every message shares: numbers with their nouns, lists, errors, functions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

_PLURALS = {
    "axis": "axes",
    "batch": "batches",
    "bias": "biases",
    "class": "classes",
    "entry": "entries",
    "index": "indices",
}


def counted(number: int | None, noun: str) -> str:
    """A number and its noun, in the singular or the plural; None is a number that is not known.

    >>> counted(1, "axis"), counted(2, "axis"), counted(1234, "call of the layer")
    ('1 axis', '2 axes', '1,234 calls of the layer')
    >>> counted(None, "value")
    'an unknown number of values'
    """
    word, space, rest = noun.partition(" of ")
    *before, last = word.split(" ")
    plural = " ".join([*before, _PLURALS.get(last, f"{last}s")]) + space + rest
    if number is None:
        return f"an unknown number of {plural}"
    return f"{number:,} {noun if number == 1 else plural}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Words with commas, and a word before the last one.

    >>> listed(["b", "c", "h"]), listed(["b", "c"], "or")
    ('b, c and h', 'b or c')
    """
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def quoted(text: str) -> str:
    """A text as one word of a command line.

    >>> print(quoted("b [c]"), quoted('f("x")'))
    "b [c]" 'f("x")'
    """
    return f'"{text}"' if '"' not in text else f"'{text}'"


def one_line(error: BaseException, most: int = 300) -> str:
    """What an error of somebody else's program says, in one line of at most so many letters.

    >>> one_line(ValueError("no such   axis"))
    'no such axis'
    """
    return " ".join(str(error).split())[:most]


def function_title(function: object) -> str:
    """A function or class as its author would call it, without the marks of Python.

    >>> def outer():
    ...     def inner(x): ...
    ...     return inner
    >>> function_title(outer()), function_title(max), function_title(functools.partial(max, 1))
    ('inner', 'max', 'max with some arguments given')
    """
    if isinstance(function, functools.partial):
        return f"{function_title(function.func)} with some arguments given"
    name = getattr(function, "__qualname__", None)
    title = qualified(name if isinstance(name, str) else type(function).__qualname__)
    return _lambda_title(function) if title == "<lambda>" else title


def qualified(name: str) -> str:
    """A qualified name, without the functions inside of which it was defined.

    >>> qualified("make.<locals>.Net.block"), qualified("Net")
    ('Net.block', 'Net')
    """
    return name.rpartition("<locals>.")[2]


def _lambda_title(function: object) -> str:
    """By file and line, where the code stands in a file that a person can open."""
    code = getattr(function, "__code__", None)
    file = Path(getattr(code, "co_filename", ""))
    if code is None or file.suffix != ".py" or not file.is_file():
        return "the lambda"
    return f"the lambda at {file.name}:{code.co_firstlineno}"
