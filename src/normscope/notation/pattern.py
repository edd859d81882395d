"""The bracket notation: text -> `Pattern`, a tree that remembers where each piece stood.

    axis       a name (`c`, `w_1`) or a number, which is an axis of just that size
    [ ]        the axes inside share one statistics set
    ( )        several axes that are one axis of the array: `(g [c])` splits it into groups
    ...        any number of axes; `s...` and `(a b)...` repeat what they follow

A pattern knows nothing of arrays: `notation.layout` fits it to a shape. The notation is that of
einx, and what einx rejects is rejected here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from normscope.errors import PatternError

ANONYMOUS = "..."
"""The name of the axes that a bare `...` stands for."""

MAX_LENGTH = 1000
MAX_NESTING = 20

_TOKEN = re.compile(r"(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)|(?P<number>[0-9]+)|\.\.\.|[()\[\] ]")


@dataclass(frozen=True)
class Axis:
    """One axis: `c`, or a number when `size` is given. `start`, `stop`: its place in the text."""

    name: str
    size: int | None
    shared: bool
    start: int
    stop: int


@dataclass(frozen=True)
class Group:
    """Several axes in parentheses, which together are one axis of the array."""

    items: tuple[Item, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class Repeat:
    """`...`: its items stand for any number of axes; `names` ties equal repetitions together."""

    items: tuple[Item, ...]
    start: int
    stop: int

    @property
    def names(self) -> frozenset[str]:
        """The names of the axes that are repeated."""
        return frozenset(axis.name for axis in leaves(self.items) if axis.size is None)


Item = Axis | Group | Repeat


@dataclass(frozen=True)
class Pattern:
    """A parsed pattern.

    >>> pattern = parse("b [s...] (g [c])")
    >>> pattern.names
    ('b', 's', 'g', 'c')
    >>> pattern.repeated
    frozenset({'s'})
    """

    text: str
    items: tuple[Item, ...]

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Every axis in order, those inside groups and repetitions too."""
        return tuple(leaves(self.items))

    @property
    def names(self) -> tuple[str, ...]:
        """The axis names in order of appearance, each once; numbers have none."""
        return tuple(dict.fromkeys(axis.name for axis in self.axes if axis.size is None))

    @property
    def repeated(self) -> frozenset[str]:
        """The names that stand under a `...`."""
        return frozenset(
            name for item in walk(self.items) if isinstance(item, Repeat) for name in item.names
        )

    def __str__(self) -> str:
        return self.text


def walk(items: tuple[Item, ...]) -> Iterator[Item]:
    """Every node below `items`, parents first."""
    for item in items:
        yield item
        if not isinstance(item, Axis):
            yield from walk(item.items)


def leaves(items: tuple[Item, ...]) -> Iterator[Axis]:
    """The axes below `items`, in order."""
    return (item for item in walk(items) if isinstance(item, Axis))


@lru_cache(maxsize=1024)
def parse(text: str) -> Pattern:
    """Read a pattern.

    Args:
        text: a pattern such as `"b [s...] (g [c])"`.

    Returns:
        The `Pattern`; the same object for the same text.

    Raises:
        PatternError: the text is not in the bracket notation. The error shows where.

    Example:
        >>> [axis.name for axis in parse("b c [h w]").axes if axis.shared]
        ['h', 'w']
    """
    if len(text) > MAX_LENGTH:
        raise PatternError(
            f"this pattern has {len(text)} characters, {MAX_LENGTH} are allowed",
            text[:60] + "...",
            60,
            63,
        )
    pattern = Pattern(text, _Parser(text).parse())
    _check_names(pattern)
    return pattern


class _Parser:
    """A reader of one text: `position` is the next token; brackets and parentheses nest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.position = 0

    def parse(self) -> tuple[Item, ...]:
        items = self.items_until(None, shared=False, depth=0)
        if not items:
            raise PatternError(
                "this pattern is empty",
                self.text,
                0,
                hint='name each axis and put brackets around those that share statistics: "b [c]"',
            )
        return items

    def items_until(self, opening: _Token | None, *, shared: bool, depth: int) -> tuple[Item, ...]:
        """The items up to the token that closes `opening` (None: up to the end of the text)."""
        if depth > MAX_NESTING:
            assert opening is not None
            raise self.error("brackets and parentheses nest too deeply here", opening)
        closing = _CLOSING[opening.text] if opening else None
        items: list[Item] = []
        while self.position < len(self.tokens):
            token = self.tokens[self.position]
            self.position += 1
            if token.text == " ":
                continue
            if token.text in _CLOSING.values():
                if token.text == closing:
                    return tuple(items)
                raise self.unopened(token, opening)
            items.extend(self.item(token, shared, depth))
        if opening:
            raise self.unclosed(opening, items)
        return tuple(items)

    def item(self, token: _Token, shared: bool, depth: int) -> tuple[Item, ...]:
        """The item that begins with `token`; brackets give all that they hold."""
        found: tuple[Item, ...]
        if token.text == "[":
            found = self.items_until(token, shared=True, depth=depth + 1)
            if not found:
                raise self.error("these brackets hold no axis", token, token.start + 2)
        elif token.text == "(":
            inner = self.items_until(token, shared=shared, depth=depth + 1)
            found = (Group(inner, token.start, self.tokens[self.position - 1].stop),)
        elif token.text == ANONYMOUS:
            axis = Axis(ANONYMOUS, None, shared, token.start, token.stop)
            found = (Repeat((axis,), token.start, token.stop),)
        else:
            size = self.number(token) if token.text.isdigit() else None
            found = (Axis(token.text, size, shared, token.start, token.stop),)
        return self.repeat(token, found)

    def repeat(self, token: _Token, found: tuple[Item, ...]) -> tuple[Item, ...]:
        """`found`, repeated if `...` follows it without a space; then a space or the end."""
        follows = self.peek()
        if follows and follows.text == ANONYMOUS:
            if any(isinstance(item, Repeat) for item in walk(found)):
                raise self.error(
                    "one ... stands inside another here",
                    follows,
                    hint='one ... is enough for any number of axes: "b [s...] c"',
                )
            self.position += 1
            found = (Repeat(found, token.start, follows.stop),)
            follows = self.peek()
        if follows and follows.text not in (" ", *_CLOSING.values()):
            if token.text.isdigit():
                raise self.error("the name of an axis begins with a letter or _", token)
            left, right = self.text[: follows.start], self.text[follows.start :]
            raise self.error("a space is missing here", follows, hint=f'write "{left} {right}"')
        return found

    def peek(self) -> _Token | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def number(self, token: _Token) -> int:
        if len(token.text) > 18 or int(token.text) == 0:
            raise self.error("the size of an axis is a positive integer", token, token.stop)
        return int(token.text)

    def error(
        self, reason: str, token: _Token, stop: int | None = None, hint: str = ""
    ) -> PatternError:
        return PatternError(reason, self.text, token.start, stop or token.stop, hint)

    def unopened(self, token: _Token, opening: _Token | None) -> PatternError:
        kind = "bracket" if token.text == "]" else "parenthesis"
        if opening is None:
            return self.error(f"this {kind} closes nothing", token)
        closing = _CLOSING[opening.text]
        return self.error(
            f'"{opening.text}" is open here, so "{closing}" must come before this {kind}', token
        )

    def unclosed(self, opening: _Token, items: list[Item]) -> PatternError:
        kind = "bracket" if opening.text == "[" else "parenthesis"
        last = "the last shared axis" if opening.text == "[" else "the last axis of the group"
        fixed = self.text.rstrip(" ") + _CLOSING[opening.text]
        hint = f'close it after {last}: "{fixed}"' if items else ""
        return self.error(f"this {kind} is never closed", opening, hint=hint)


@dataclass(frozen=True)
class _Token:
    text: str
    start: int

    @property
    def stop(self) -> int:
        return self.start + len(self.text)


_CLOSING = {"[": "]", "(": ")"}

_FOREIGN = {
    "->": "a pattern has no arrow: brackets say what is shared",
    "+": "axes cannot be concatenated in a pattern",
    ",": "a pattern describes one array; separate its axes by spaces",
    "*": "separate axes by spaces",
    "=": "give sizes by keyword, for example spec(pattern, g=32)",
    ":": "give sizes by keyword, for example spec(pattern, g=32)",
}


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _unknown_character(text, position)
        yield _Token(match.group(), position)
        position = match.end()


def _unknown_character(text: str, position: int) -> PatternError:
    rest = text[position:]
    hint = next(
        (advice for sign, advice in _FOREIGN.items() if rest.startswith(sign)),
        "axes are names of letters, digits and _, or numbers; see also [ ], ( ) and ...",
    )
    if re.match(r"\s*[A-Za-z_]\w*\.[A-Za-z_]", text) is not None:
        hint = (
            'this is no pattern; a layer goes by its name to preset("torch.LayerNorm", 128), and '
            'to explain, normalize and fit as "torch.LayerNorm(128)"'
        )
    shown = text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
    return PatternError(f"{rest[0]!r} has no meaning in a pattern", shown, position, hint=hint)


def _check_names(pattern: Pattern) -> None:
    """A name stands for one axis, unless its occurrences all share one statistics set."""
    first: dict[str, Axis] = {}
    for axis in pattern.axes:
        earlier = first.setdefault(axis.name, axis)
        if axis is earlier or axis.size is not None:
            continue
        if axis.shared != earlier.shared:
            raise PatternError(
                f'axis "{axis.name}" stands both inside and outside brackets',
                pattern.text,
                axis.start,
                axis.stop,
                "give the two axes different names",
            )
        if not axis.shared:
            raise PatternError(
                f'axis "{axis.name}" appears twice',
                pattern.text,
                axis.start,
                axis.stop,
                "give each axis its own name",
            )
    _check_repeats(pattern)


def _check_repeats(pattern: Pattern) -> None:
    """A name is either always under `...`, together with the same names, or never."""
    repeats = [item for item in walk(pattern.items) if isinstance(item, Repeat)]
    ties: dict[str, frozenset[str]] = {}
    for repeat in repeats:
        for name in repeat.names:
            if ties.setdefault(name, repeat.names) != repeat.names:
                raise PatternError(
                    f'axis "{name}" is repeated together with different axes',
                    pattern.text,
                    repeat.start,
                    repeat.stop,
                )
    under = {axis.start for repeat in repeats for axis in leaves(repeat.items)}
    for axis in pattern.axes:
        if axis.name in ties and axis.start not in under:
            raise PatternError(
                f'axis "{axis.name}" stands both with and without ...',
                pattern.text,
                axis.start,
                axis.stop,
                "give the two axes different names",
            )
