"""`Inputs`: what the model is called with, and how it is passed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

from normscope.errors import SpecError
from normscope.frameworks.arguments import misfit, signature_of
from normscope.frameworks.arrays import to_numpy
from normscope.frameworks.trees import Array, arrays_by_name, is_array, mapped


class Passing(Enum):
    """How the inputs are passed."""

    WHOLE = "as one argument"
    POSITIONAL = "by position"
    NAMED = "by name"


def passing(
    function: Callable[..., Any] | None, inputs: Any, reserved: tuple[str, ...] = ()
) -> Passing:
    """By position or by name where the function takes them so, else as one argument.

    Args:
        function: what is called.
        inputs: an array, or a tuple, list or dict.
        reserved: parameters that are no inputs, besides those that say the mode.

    Example:
        >>> passing(lambda a, b: a, (1, 2))
        <Passing.POSITIONAL: 'by position'>
        >>> passing(lambda pair, training=False: pair, (1, 2))
        <Passing.WHOLE: 'as one argument'>
    """
    if is_array(inputs) or not isinstance(inputs, tuple | list | Mapping):
        return Passing.WHOLE
    apart = Passing.NAMED if isinstance(inputs, Mapping) else Passing.POSITIONAL
    signature = signature_of(function, reserved)
    arguments, named = ((), dict(inputs)) if isinstance(inputs, Mapping) else (tuple(inputs), {})
    try:
        if signature is not None:
            signature.bind(*arguments, **named)
    except TypeError:
        return Passing.WHOLE
    return apart


class Inputs:
    """The inputs as given, and their arrays one by one.

    Attributes:
        tree: as given.
        names: of the arrays in it.
        arrays: their numbers.
        how: they are passed to the model.
    """

    def __init__(self, tree: Any, function: Callable[..., Any] | None, how: Passing) -> None:
        self.tree = tree
        self.how = how
        found = [
            (name, leaf)
            for part_name, part in self._named_parts(function)
            for name, leaf in arrays_by_name(part, part_name)
            if is_array(leaf)
        ]
        if not found:
            shape = isinstance(tree, tuple | list) and all(isinstance(n, int) for n in tree)
            example = f", such as numpy.random.default_rng(0).normal(size={tree})" if shape else ""
            raise SpecError(
                f"inputs holds no array, but is a {type(tree).__qualname__}; give an array"
                f"{example}, or a tuple, list or dict of arrays"
            )
        self.names = tuple(name for name, _ in found)
        self.arrays: tuple[Array, ...] = tuple(to_numpy(leaf) for _, leaf in found)

    def misfit(self, function: Callable[..., Any] | None, reserved: tuple[str, ...]) -> str:
        """Why these inputs do not fit the model, and what to write; "" if they do."""
        named = isinstance(self.tree, Mapping)
        several = not is_array(self.tree) and isinstance(self.tree, tuple | list)
        if self.how is not Passing.WHOLE:
            return ""
        names = [str(key) for key in self.tree] if named else []
        positional = 0 if named else len(self.tree) if several else 1
        return misfit(function, positional, names, _by_name, reserved)

    def _named_parts(self, function: Callable[..., Any] | None) -> list[tuple[str, Any]]:
        if isinstance(self.tree, Mapping):
            return [(str(key), part) for key, part in self.tree.items()]
        if self.how is not Passing.POSITIONAL:
            return [("input", self.tree)]
        signature = signature_of(function)
        names = [] if signature is None else _positional(signature)
        return [
            (names[number] if number < len(names) else f"input[{number}]", part)
            for number, part in enumerate(self.tree)
        ]

    def arguments(
        self, make: Callable[[Any, Array], Any], changed: Mapping[int, Array] | None = None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and named arguments of one call, all of them fresh copies.

        Args:
            make: gives the numbers to the model in the form of the array as given.
            changed: other numbers for some of the arrays.
        """
        numbers = iter(range(len(self.arrays)))

        def fresh(leaf: Any) -> Any:
            number = next(numbers)
            return make(leaf, (changed or {}).get(number, self.arrays[number]))

        tree = mapped(self.tree, fresh)
        match self.how:
            case Passing.POSITIONAL:
                return tuple(tree), {}
            case Passing.NAMED:
                return (), tree
            case _:
                return (tree,), {}


def _positional(signature: inspect.Signature) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, parameter in signature.parameters.items() if parameter.kind in kinds]


def _by_name(missing: Sequence[str], needed: Sequence[str]) -> str:
    together = ", ".join(f'"{name}": ...' for name in needed)
    options = " ".join(f"--input {name}=4,8" for name in needed)
    return f"a dict of all, {{{together}}}, or on the command line by {options}"
