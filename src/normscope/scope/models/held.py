"""What a function holds besides its arguments: closed-over values, globals, defaults, itself."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Iterator
from typing import Any


def held_by(function: Any) -> dict[str, Any]:
    """Every value that a function gets from outside of its arguments, by name.

    Lists, tuples and dicts come with what they hold; functions that are used are followed, but
    not into other modules.

    >>> factor = {"value": 2}
    >>> held_by(lambda x: x * factor["value"])
    {'factor': {'value': 2}, 'factor.value': 2}
    """
    found: dict[str, Any] = {}
    waiting = [function]
    known = {id(function)}
    home = _home(function)
    while waiting:
        for name, part in _apart(_held(waiting.pop())):
            found.setdefault(name, part)
            code = isinstance(part, types.FunctionType | types.MethodType | functools.partial)
            if code and _home(part) == home and id(part) not in known:
                known.add(id(part))
                waiting.append(part)
    return found


def _home(function: Any) -> str:
    """The module in which a function is written."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__module__", ""))


def _held(function: Any) -> dict[str, Any]:
    """What one function gets from outside."""
    match function:
        case functools.partial():
            given = {f"argument {n}": value for n, value in enumerate(function.args)}
            return {"function": function.func, **_held(function.func), **given, **function.keywords}
        case types.MethodType():
            return {"self": function.__self__, **_held(function.__func__)}
        case types.FunctionType():
            code, cells = function.__code__, function.__closure__ or ()
            closed = {n: _content(c) for n, c in zip(code.co_freevars, cells, strict=True)}
            used = {n: function.__globals__[n] for n in code.co_names if n in function.__globals__}
            given = {f"default {n}": value for n, value in enumerate(function.__defaults__ or ())}
            return {**used, **closed, **given, **(function.__kwdefaults__ or {})}
        case types.BuiltinFunctionType() | type():
            return {}
        case _:  # an object that can be called
            call = inspect.getattr_static(type(function), "__call__", None)
            own = _held(call) if isinstance(call, types.FunctionType) else {}
            return {"self": function, **getattr(function, "__dict__", {}), **own}


def _apart(held: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Lists, tuples and dicts, and besides them what they hold."""
    for name, part in held.items():
        yield name, part
        if type(part) in (list, tuple):
            yield from ((f"{name}[{number}]", value) for number, value in enumerate(part))
        elif type(part) is dict:
            yield from ((f"{name}.{key}", value) for key, value in part.items())


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None
