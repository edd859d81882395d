"""How a layer is told its mode, found by trying where its signature does not settle it.

A keyword is the usual way. Flax's `nn.vmap` passes no keywords on, and `nn.remat` makes tracers of
them, on which no `if` can decide; there the mode goes by position, or into an attribute.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

MODE_KEYWORDS = {
    "training": False,
    "train": False,
    "is_training": False,
    "is_train": False,
    "deterministic": True,
    "use_running_average": True,
    "inference": True,
    "is_eval": True,
}
"""Keywords by which a callable is told its mode; True: the keyword says inference."""

_IGNORED = "kwargs are not supported"  # what Flax warns of


def mode_keyword(function: Callable[..., Any]) -> str | None:
    """The keyword by which a callable is told its mode, if it has one.

    >>> mode_keyword(lambda x, training=False: x)
    'training'
    """
    try:
        names = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin does not say what it takes
        return None
    return next((name for name in MODE_KEYWORDS if name in names), None)


def mode_argument(keyword: str | None, training: bool) -> dict[str, bool]:
    """The keyword argument that says the mode.

    >>> mode_argument("deterministic", training=True)
    {'deterministic': False}
    """
    return {} if keyword is None else {keyword: training != MODE_KEYWORDS[keyword]}


@dataclass(frozen=True)
class Telling:
    """One way to tell a module its mode.

    Attributes:
        name: of the argument or attribute; None: the module is not told.
        before: the defaults of arguments that stand before it, where it goes by position.
        by: "keyword", "position" or "attribute".
    """

    name: str | None = None
    before: tuple[Any, ...] = ()
    by: str = "keyword"

    def __str__(self) -> str:
        return "without being told its mode" if self.name is None else f"{self.name} by {self.by}"

    def value(self, training: bool) -> bool:
        """What the argument is in a mode."""
        assert self.name is not None
        return training != MODE_KEYWORDS[self.name]

    def arguments(
        self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a call in a mode.

        >>> Telling("train", (None,), "position").arguments((1,), {}, training=True)
        ((1, None, True), {})
        """
        if self.name is None or self.by == "attribute":
            return arguments, named
        if self.by == "position":
            return (*arguments, *self.before, self.value(training)), named
        return arguments, {**named, **mode_argument(self.name, training)}

    def module(self, module: Any, training: bool) -> Any:
        """The module to call in a mode: a Linen module with another value of the attribute."""
        if self.name is None or self.by != "attribute":
            return module
        return module.clone(**{self.name: self.value(training)})


def ways_to_tell(
    call: Callable[..., Any], given: int, named: dict[str, Any], attribute: bool = False
) -> list[Telling]:
    """The ways that a call's signature allows, the usual one first.

    Args:
        call: the function, its first argument the module itself.
        given: how many arguments are given by position.
        named: those that are given by name.
        attribute: an attribute of the same name can be set instead.

    >>> def call(self, x, mask=None, train=False): ...
    >>> [str(way) for way in ways_to_tell(call, 1, {})]
    ['train by keyword', 'train by position']
    """
    name = mode_keyword(call)
    if name is None or name in named:
        return [Telling()]
    ways = [Telling(name)]
    positional = [
        parameter
        for parameter in inspect.signature(call).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ][1:]
    place = next((i for i, parameter in enumerate(positional) if parameter.name == name), -1)
    before = tuple(parameter.default for parameter in positional[given : max(place, given)])
    if place >= given and inspect.Parameter.empty not in before:
        ways.append(Telling(name, before, "position"))
    if attribute:
        ways.append(Telling(name, (), "attribute"))
    return ways


def first_that_works(
    ways: list[Telling], attempt: Callable[[Telling], T]
) -> tuple[Telling, T, list[str]]:
    """The first way by which a call succeeds, what it gives, and what the reader should know.

    Raises:
        Exception: what the first attempt raised, with a note on what to write instead.
    """
    problem: Exception | None = None
    for way in [*ways, *([] if ways[0].name is None else [Telling()])]:
        try:
            with warnings.catch_warnings():
                if way.name is not None:
                    warnings.filterwarnings("error", f".*{_IGNORED}.*{way.name}.*")
                result = attempt(way)
        except Exception as error:  # a module refuses in its own way
            problem = problem or error
            continue
        if problem is None:
            return way, result, []
        if way.name is None:
            advice = _advice(problem, ways[0].name)
            return way, result, [f"{ways[0].name} could not be told, so it was left out; {advice}"]
        return way, result, [f"it is told its mode by {way.by}: {way.name}"]
    assert problem is not None
    if ways[0].name is not None:
        advice = _advice(problem, ways[0].name)
        problem.add_note(f"it was called with {', '.join(map(str, ways))}; {advice}")
    else:
        problem.add_note(_ADVICE)
    raise problem


def _advice(problem: Exception, name: str | None) -> str:
    if _IGNORED not in str(problem):
        return _ADVICE
    return (
        f"Flax passes no keywords on here: let the module take {name} by position, with None in "
        f"in_axes, or as a field; {_ADVICE}"
    )


def advice_on(error: Exception) -> list[str]:
    """What to write instead, where an error is about the mode; other notes are not ours.

    >>> advice_on(ValueError("no"))
    []
    """
    return [note for note in getattr(error, "__notes__", []) if note.endswith(_ADVICE)]


_ADVICE = (
    "if it takes its mode in another way, give a function that tells it, such as "
    "lambda x, training=False: module.apply(variables, x, ...), or hold the argument by its name"
)
