"""Code that nobody may run: it leaves a mark, in as many ways as a file can carry it."""

from __future__ import annotations

import base64
import marshal
import os
import pickle
from collections.abc import Callable
from typing import Any

from hostile.case import Place
from hostile.worker import CANARY


class _Calls:
    """Whoever loads the pickle of it has called a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call


def source(place: Place) -> str:
    """Python that leaves the mark."""
    return f"import {CANARY}; open({str(place.canary)!r}, 'w').close()"


def calls(place: Place) -> dict[str, Any]:
    """Objects whose pickle runs code, by what it calls."""
    return {
        "os.system": _Calls(os.system, f"touch {place.canary}"),
        "builtins.exec": _Calls(exec, source(place)),
        "builtins.eval": _Calls(eval, f"open({str(place.canary)!r}, 'w')"),
        "builtins.open": _Calls(open, str(place.canary), "w"),
        "os.remove": _Calls(os.remove, str(place.canary)),
        "os.makedirs": _Calls(os.makedirs, str(place.canary)),
    }


def pickled(place: Place, protocol: int = 2) -> bytes:
    """A pickle that runs a command of the system."""
    return pickle.dumps(calls(place)["os.system"], protocol)


def by_name(module: str, name: str, *arguments: str) -> bytes:
    """A pickle that calls what it names, which need not exist."""
    given = b"".join(b"X" + len(a.encode()).to_bytes(4, "little") + a.encode() for a in arguments)
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(" + given + b"tR."


def marshalled(place: Place) -> str:
    """A function as Keras stores a Lambda: its code, in base 64."""
    code = compile(source(place), "<lambda>", "exec")
    return base64.b64encode(marshal.dumps(code)).decode()
