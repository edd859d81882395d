"""Pickles from an untrusted source, read as data: nothing is imported, called or built.

What a pickle would import is its `Name`; what it would make by a call is `Made`. Plain values and
containers are themselves. So there is no list of what is safe to call: nothing is.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, BinaryIO

from normscope.wording import one_line

MAX_OPERATIONS = 2_000_000  # a checkpoint of ten thousand arrays has half a million
MAX_BYTES = 2**26  # of the pickle alone; the numbers of a checkpoint stand beside it


class PickleError(Exception):
    """A pickle is damaged, too long, or does what cannot be followed; the text says which."""


@dataclass(frozen=True, slots=True, eq=False)
class Name:
    """What a pickle would import. Attribute: `path`, as "torch._utils._rebuild_tensor_v2"."""

    path: str


_NOTHING: Mapping[object, object] = MappingProxyType({})


@dataclass(slots=True, eq=False)
class Made:
    """What a pickle would make by calling something.

    Attributes:
        maker: what it would call, a `Name` in most cases.
        arguments: with these.
        state: what would be given to it afterwards.
        elements: what would be appended to it.
        entries: what would be set in it.
    """

    maker: object
    arguments: object = ()
    state: object = None
    elements: Sequence[object] = ()
    entries: Mapping[object, object] = field(default_factory=lambda: _NOTHING)

    @property
    def path(self) -> str:
        """What it would call, by its path; "" if that is not a name."""
        return self.maker.path if isinstance(self.maker, Name) else ""


@dataclass(frozen=True, slots=True, eq=False)
class Persistent:
    """What the pickle names and the reader of the file must know, by its id."""

    id: object


def read_pickle(stream: BinaryIO) -> Any:
    r"""The value of one pickle; the stream stands behind it afterwards.

    Args:
        stream: of at most `MAX_BYTES`, as in a `BytesIO`: a length that the pickle states is not
            believed beyond them.

    Raises:
        PickleError: it is damaged, too long, or does what cannot be followed.

    >>> import io, pickle
    >>> read_pickle(io.BytesIO(pickle.dumps({"a": [1, (2.5, None)]})))
    {'a': [1, (2.5, None)]}
    >>> read_pickle(io.BytesIO(b"cos\nsystem\n(S'exit'\ntR.")).path
    'os.system'
    """
    machine = _Machine()
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
            if count > MAX_OPERATIONS:
                raise PickleError("a pickle of too many operations")
            machine.do(operation.name, argument)
        return machine.stack.pop()
    # whatever pickletools raises of bytes that anybody wrote
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, AttributeError) as error:
        raise PickleError(f"a damaged pickle ({one_line(error, 100)})") from error


_PUSHED = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    )
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], object]] = {
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": lambda: Made(Name("builtins.set")),
}
_GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))
_PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_DICTS = frozenset(("collections.OrderedDict", "builtins.dict", "__builtin__.dict"))
_MARK = object()


class _Machine:
    """The stack machine of the pickle format, without what it would call."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def do(self, name: str, argument: Any) -> None:
        """One operation."""
        stack = self.stack
        if name in _PUSHED:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _PUTS:
            self.memo[int(argument)] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in _GETS:
            stack.append(self.memo[int(argument)])
        elif name in ("PROTO", "FRAME", "STOP"):
            pass
        else:
            other = getattr(self, f"_{name.lower()}", None)
            if other is None:
                raise PickleError(f"a pickle with the operation {name}, which is not read")
            other(argument)

    def _marked(self) -> list[Any]:
        """What stands above the last mark, which goes too."""
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise PickleError("a damaged pickle (no mark)")
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def _mark(self, _: object) -> None:
        self.stack.append(_MARK)

    def _pop(self, _: object) -> None:
        self.stack.pop()

    def _pop_mark(self, _: object) -> None:
        self._marked()

    def _dup(self, _: object) -> None:
        self.stack.append(self.stack[-1])

    # --- containers -----------------------------------------------------------------------------

    def _tuple(self, _: object) -> None:
        self.stack.append(tuple(self._marked()))

    def _tuple1(self, _: object) -> None:
        self.stack[-1:] = [tuple(self.stack[-1:])]

    def _tuple2(self, _: object) -> None:
        self.stack[-2:] = [tuple(self.stack[-2:])]

    def _tuple3(self, _: object) -> None:
        self.stack[-3:] = [tuple(self.stack[-3:])]

    def _list(self, _: object) -> None:
        self.stack.append(self._marked())

    def _dict(self, _: object) -> None:
        items = self._marked()
        self.stack.append({})
        self._set(items)

    def _frozenset(self, _: object) -> None:
        self.stack.append(Made(Name("builtins.frozenset"), elements=self._marked()))

    def _append(self, _: object) -> None:
        self._extend([self.stack.pop()])

    def _appends(self, _: object) -> None:
        self._extend(self._marked())

    _additems = _appends

    def _extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Made):
            target.elements = target.elements or []
            target = target.elements
        target.extend(items)

    def _setitem(self, _: object) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _setitems(self, _: object) -> None:
        self._set(self._marked())

    def _set(self, items: list[Any]) -> None:
        target = entries = self.stack[-1]
        if isinstance(target, Made):
            target.entries = entries = target.entries or {}
        if not isinstance(entries, dict) or len(items) % 2:
            raise PickleError("a damaged pickle (entries of what is no dict)")
        for key, value in zip(items[::2], items[1::2], strict=True):
            entries[_plain(key)] = value

    # --- what it would import and call ----------------------------------------------------------

    def _global(self, argument: str) -> None:
        self.stack.append(Name(".".join(argument.split(" ", 1))))

    def _stack_global(self, _: object) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise PickleError("a damaged pickle (an import without a name)")
        self.stack.append(Name(f"{module}.{name}"))

    def _reduce(self, _: object) -> None:
        arguments, maker = self.stack.pop(), self.stack.pop()
        self.stack.append(_made(maker, arguments))

    _newobj = _reduce

    def _newobj_ex(self, _: object) -> None:
        named, arguments, maker = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.stack.append(Made(maker, (arguments, named)))

    def _inst(self, argument: str) -> None:
        self.stack.append(Made(Name(".".join(argument.split(" ", 1))), tuple(self._marked())))

    def _obj(self, _: object) -> None:
        maker, *arguments = self._marked()
        self.stack.append(Made(maker, tuple(arguments)))

    def _build(self, _: object) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Made):
            target.state = state  # a dict has no state worth knowing

    def _persid(self, argument: str) -> None:
        self.stack.append(Persistent(argument))

    def _binpersid(self, _: object) -> None:
        self.stack.append(Persistent(self.stack.pop()))


def _made(maker: object, arguments: object) -> object:
    """A dict is one; all else is only described."""
    if isinstance(maker, Name) and maker.path in _DICTS and arguments == ():
        return {}
    return Made(maker, arguments)


def _plain(key: object) -> object:
    """A key by which anything can be found; others, which may be slow to hash, become no key."""
    if isinstance(key, str | bytes | bool) or key is None:
        return key
    if isinstance(key, int) and abs(key) < 2**60:
        return key
    return object()
