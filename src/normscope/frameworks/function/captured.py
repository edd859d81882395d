"""What a function captures: closed-over values, globals, defaults, itself."""

from __future__ import annotations

import dis
import functools
import inspect
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from normscope.frameworks.registry import kind_of

_MOST = 4096
"""So many values are followed; a function that holds more is no layer."""


class Names(Protocol):
    """Names that a call can bind anew, with what they are bound to."""

    def items(self) -> Iterator[tuple[Any, Any]]:
        """The names that are bound, with their values."""

    def __setitem__(self, name: Any, value: Any) -> None:
        """Bind a name."""

    def __delitem__(self, name: Any) -> None:
        """Leave a name without value."""


@dataclass(frozen=True)
class Captured:
    """What a function gets from outside of its arguments.

    Attributes:
        values: by name; lists, tuples, dicts and plain objects come with what they hold.
        names: of the closures and of the globals that the code assigns.
    """

    values: dict[str, Any] = field(default_factory=dict)
    names: list[Names] = field(default_factory=list)


def captured_by(function: Any) -> Captured:
    """Everything that a function gets from outside of its arguments.

    Functions that are used are followed, but not into other modules.

    >>> factor = {"value": 2}
    >>> captured_by(lambda x: x * factor["value"]).values
    {'factor': {'value': 2}, 'factor.value': 2}
    """
    found = Captured()
    home = _home(function)
    known = {id(function)}
    waiting: list[tuple[str, Any]] = []

    def follow(code: Any) -> None:
        found.names.extend(_names(code))
        waiting.extend(_captured(code).items())

    follow(function)
    while waiting and len(found.values) < _MOST:
        name, part = waiting.pop(0)
        found.values.setdefault(name, part)
        if id(part) in known:
            continue
        known.add(id(part))
        if isinstance(part, types.FunctionType | types.MethodType | functools.partial):
            if _home(part) == home:
                follow(part)
        else:
            waiting.extend((f"{name}{key}", value) for key, value in _parts(part))
    return found


def is_plain(part: Any) -> bool:
    """Whether an object has attributes that are its memory, and no framework cares for them."""
    code = (types.ModuleType, types.FunctionType, types.MethodType, type, functools.partial)
    if isinstance(part, code) or not hasattr(part, "__dict__") or hasattr(part, "dtype"):
        return False
    home = type(part).__module__.partition(".")[0]
    # what the standard library holds, such as a logger, is no memory of a layer
    foreign = home in sys.stdlib_module_names and home != "__main__"
    return kind_of(part) is None and (not foreign or type(part) is types.SimpleNamespace)


def _parts(part: Any) -> Iterator[tuple[str, Any]]:
    """What a container or a plain object holds."""
    if isinstance(part, list | tuple):
        yield from ((f"[{number}]", value) for number, value in enumerate(part))
    elif isinstance(part, Mapping):
        yield from ((f".{key}", value) for key, value in part.items())
    elif is_plain(part):
        yield from ((f".{key}", value) for key, value in vars(part).items())


def _home(function: Any) -> str:
    """The module in which a function is written."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__module__", ""))


def _captured(function: Any) -> dict[str, Any]:
    """What one function gets from outside."""
    match function:
        case functools.partial():
            given = {f"argument {n}": value for n, value in enumerate(function.args)}
            return {
                "function": function.func,
                **_captured(function.func),
                **given,
                **function.keywords,
            }
        case types.MethodType():
            return {"self": function.__self__, **_captured(function.__func__)}
        case types.FunctionType():
            code, cells = function.__code__, function.__closure__ or ()
            closed = {n: _content(c) for n, c in zip(code.co_freevars, cells, strict=True)}
            used = {n: function.__globals__[n] for n in code.co_names if n in function.__globals__}
            given = {f"default {n}": value for n, value in enumerate(function.__defaults__ or ())}
            # also an empty one: a call may set the first attribute
            own = {f"{function.__name__} attributes": vars(function)} if _sets_own(code) else {}
            return {**used, **closed, **given, **(function.__kwdefaults__ or {}), **own}
        case types.BuiltinFunctionType() | type():
            return {}
        case _:  # an object that can be called
            call = inspect.getattr_static(type(function), "__call__", None)
            code_of_call = _captured(call) if isinstance(call, types.FunctionType) else {}
            return {"self": function, **getattr(function, "__dict__", {}), **code_of_call}


def _sets_own(code: types.CodeType) -> bool:
    """Whether code sets attributes at all, as a function does that keeps its memory so."""
    return any(i.opname == "STORE_ATTR" for i in dis.get_instructions(code))


def _names(function: Any) -> Iterator[Names]:
    match function:
        case functools.partial():
            yield from _names(function.func)
        case types.MethodType():
            yield from _names(function.__func__)
        case types.FunctionType():
            if function.__closure__:
                yield _Cells(function.__closure__)
            stored = {
                str(i.argval)
                for i in dis.get_instructions(function.__code__)
                if i.opname in ("STORE_GLOBAL", "DELETE_GLOBAL")
            }
            if stored:
                yield _Globals(function.__globals__, stored)
        case _:
            call = inspect.getattr_static(type(function), "__call__", None)
            if isinstance(call, types.FunctionType):
                yield from _names(call)


class _Cells:
    """The variables of an enclosing function."""

    def __init__(self, cells: tuple[types.CellType, ...]) -> None:
        self._cells = cells

    def items(self) -> Iterator[tuple[Any, Any]]:
        for number, cell in enumerate(self._cells):
            try:
                yield number, cell.cell_contents
            except ValueError:  # not assigned yet
                continue

    def __setitem__(self, name: Any, value: Any) -> None:
        self._cells[name].cell_contents = value

    def __delitem__(self, name: Any) -> None:
        del self._cells[name].cell_contents


class _Globals:
    """Some of the global variables of a module."""

    def __init__(self, namespace: dict[str, Any], names: set[str]) -> None:
        self._namespace, self._names = namespace, names

    def items(self) -> Iterator[tuple[Any, Any]]:
        for name in sorted(self._names & self._namespace.keys()):
            yield name, self._namespace[name]

    def __setitem__(self, name: Any, value: Any) -> None:
        self._namespace[name] = value

    def __delitem__(self, name: Any) -> None:
        del self._namespace[name]


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None
