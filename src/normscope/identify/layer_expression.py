"""`torch.nn:GroupNorm(32, 128)`: a layer made from what the user wrote on the command line.

A file stands for a module too: `model.py:Net()`.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from normscope.errors import MissingPackageError, SpecError


def layer_from_expression(text: str) -> Any:
    """The object that an expression gives in a module.

    The expression is run, as the user's own code: never call this with text from a file.

    Args:
        text: a module or the path of a Python file and, after a colon, a Python expression in its
            names.

    Returns:
        What the expression gives: a layer, a function.

    Raises:
        SpecError: there is no colon, or the file or the expression fails.
        MissingPackageError: the module cannot be imported.

    Example:
        >>> layer_from_expression("math:hypot(3, 4)")
        5.0
    """
    module_name, colon, expression = _parts(text)
    if not colon or not expression.strip():
        raise SpecError(
            f"{text!r} is no layer; write a module, a colon and an expression, such as "
            '"torch.nn:GroupNorm(32, 128)"'
        )
    module = _module(module_name.strip())
    try:
        return eval(expression.strip(), dict(vars(module)))
    except (Exception, SystemExit) as error:  # whatever the user's own expression raises
        raise SpecError(f"{text!r} fails: {type(error).__name__}: {error}") from error


def _parts(text: str) -> tuple[str, str, str]:
    """Before the colon, the colon, after it; the path of a file may hold a colon itself."""
    path, suffix, expression = text.partition(".py:")
    return (f"{path}.py", ":", expression) if suffix else text.partition(":")


def _module(name: str) -> ModuleType:
    if name.endswith(".py"):
        return _module_of_file(Path(name))
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackageError(f"{name} cannot be imported: {error}") from error
    except (Exception, SystemExit) as error:  # whatever the user's own module raises
        raise SpecError(f"{name} fails: {type(error).__name__}: {error}") from error


def _module_of_file(path: Path) -> ModuleType:
    """A file as a module; it finds the modules beside it, as when it is run."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise SpecError(f"{path} is no file; write its path, a colon and an expression")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    sys.modules.setdefault(path.stem, module)  # pickle and dataclasses look a class up there
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        raise MissingPackageError(f"{path} cannot be imported: {error}") from error
    except (Exception, SystemExit) as error:  # whatever the user's own file raises
        raise SpecError(f"{path} fails: {type(error).__name__}: {error}") from error
    return module
