"""`torch.nn:GroupNorm(32, 128)`: a layer made from what the user wrote on the command line.

A file stands for a module too: `model.py:Net()`. Files that open as data are models: `model.onnx`.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from normscope.errors import NormscopeError, SpecError, missing_package
from normscope.frameworks.opening import opener_by_name
from normscope.frameworks.text import names_layer
from normscope.wording import listed

_MANY = 6
"""So many names of a file are listed."""

_FILES_NOT_RUN = (
    *(".h5", ".hdf5", ".json", ".keras", ".pt", ".pth", ".ckpt", ".safetensors", ".pb"),
    *(".msgpack", ".tflite", ".pkl", ".pickle", ".bin", ".npz", ".npy"),
)
"""Endings of files that hold a model or arrays, and no code to run."""


def layer_from_expression(text: str) -> Any:
    """The object that an expression gives in a module, or the model in a file that opens as data.

    The expression is run, as the user's own code: never call this with text from a file.

    Args:
        text: a module or the path of a Python file and, after a colon, a Python expression in its
            names; or the path of a file that opens as data: .onnx, .pt2, or of Keras 2 and 3.

    Returns:
        What the expression gives: a layer, a function; of a file, the model in it.

    Raises:
        SpecError: there is no colon, or the file or the expression fails.
        ModelFileError: the file cannot be read.
        MissingPackageError: the module cannot be imported.

    Example:
        >>> layer_from_expression("math:hypot(3, 4)")
        5.0
    """
    opens = opener_by_name(text.strip())
    if opens is not None:
        return opens(Path(text.strip()))
    module_name, colon, expression = _parts(text)
    if not colon or not expression.strip():
        raise _not_code(text)
    module = _module(module_name.strip())
    try:
        return eval(expression.strip(), dict(vars(module)))
    except NameError as error:
        file = module_name.strip()
        defined = _defined_in(Path(file)) if file.endswith(".py") else []
        hint = f"; {file} has {listed(defined[:_MANY])}" if defined else ""
        raise SpecError(f"{text!r} fails: NameError: {error}{hint}") from error
    except (Exception, SystemExit) as error:  # whatever the user's own expression raises
        raise SpecError(f"{text!r} fails: {type(error).__name__}: {error}") from error


def is_code(text: str) -> bool:
    """Whether a text names code to run, rather than the path of a file with a model.

    >>> is_code("model.py:Net()"), is_code("package.module:net"), is_code("models/old.h5")
    (True, True, False)
    """
    module_name, colon, expression = _parts(text)
    if text.strip().endswith(".py"):
        return True  # and does not say what in it
    module = re.fullmatch(r"\s*[A-Za-z_]\w*(\.\w+)*\s*", module_name) is not None
    code = module_name.endswith(".py") or (module and len(module_name.strip()) > 1)
    return bool(colon and expression.strip()) and code and not os.path.exists(text)


def _not_code(text: str) -> SpecError:
    """What to write instead of a text without a colon, or with nothing after it."""
    name = text.strip().removesuffix(":")
    said = f"{text!r} names no layer"
    if name.endswith(".py"):
        defined = _defined_in(Path(name))
        first = defined[0] if defined else "Net()"
        found = f" (it has {listed(defined[:_MANY])})" if defined else ""
        return SpecError(f'{said}: say which of the file{found}, as in "{name}:{first}"')
    ending = Path(name).suffix.lower()
    if ending in _FILES_NOT_RUN:
        loads = "keras.models.load_model('...')" if ending in (".h5", ".keras") else "the model"
        return SpecError(
            f"{said}: a file of this kind is not run here; write a Python file in which "
            f'"net = {loads}" stands, and name "file.py:net"'
            + (f', or audit it: normscope audit "{name}"' if ending in (".h5", ".json") else "")
        )
    code = re.fullmatch(r"([A-Za-z_][\w.]*)\.(\w+(\(.*\))?)", name, re.DOTALL)
    if code is not None:
        module = {"torch": "torch.nn", "keras": "keras.layers", "flax": "flax.nnx"}
        return SpecError(
            f"{said}: write the module, a colon and the rest, as in "
            f'"{module.get(code[1], code[1])}:{code[2]}"'
        )
    try:
        stated = names_layer(name) or "[" in name
    except NormscopeError:
        stated = False
    if stated:
        return SpecError(
            f'{said} that can be called; what it states is explained by normscope explain "{name}"'
        )
    return SpecError(
        f"{said}; write a module, a colon and an expression, such as "
        '"torch.nn:GroupNorm(32, 128)", "model.py:Net()", or a path: net.onnx, net.pt2, net.keras'
    )


def _defined_in(path: Path) -> list[str]:
    """What a file defines at its top, as it would be written: classes and functions are called."""
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (OSError, ValueError, SyntaxError):
        return []
    found = []
    for node in body:
        match node:
            case ast.ClassDef(name=name):
                found.append(f"{name}()")
            case ast.FunctionDef(name=name):
                found.append(name)
            case ast.Assign(targets=[ast.Name(id=name)]):
                found.append(name)
    return [name for name in found if not name.startswith("_")]


def _parts(text: str) -> tuple[str, str, str]:
    """Before the colon, the colon, after it; the path of a file may hold a colon itself."""
    path, suffix, expression = text.partition(".py:")
    return (f"{path}.py", ":", expression) if suffix else text.partition(":")


def _module(name: str) -> ModuleType:
    if name.endswith(".py"):
        return _module_of_file(Path(name))
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)  # last: a package of the user's own is found, and hides none
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise missing_package(error, name) from error
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
        raise missing_package(error, str(path)) from error
    except (Exception, SystemExit) as error:  # whatever the user's own file raises
        raise SpecError(f"{path} fails: {type(error).__name__}: {error}") from error
    return module
