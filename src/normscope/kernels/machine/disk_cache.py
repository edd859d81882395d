"""Machine code of kernels on disk: one file for each function and each kind of arguments.

Numba's own cache keeps an index for each function. An index that is damaged breaks every later
call, two processes that add to it at once lose an entry, and without a folder to write to there is
no function at all. Here a file stands for itself: it begins with a digest of what it is for and of
what it holds, so one that is cut off, empty or stale is as good as none, and the next one takes its
place in a single step. What cannot be kept is compiled in every process, and that is said once.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numba
from numba.core import config
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

PACKAGE = Path(os.path.abspath(__file__)).parent.parent
_DIGEST_BYTES = hashlib.sha256().digest_size


class DiskCache(_Cache):
    """What Numba asks for machine code before it compiles a function, and gives it to afterwards.

    Attributes:
        cache_path: the folder where machine code was found or left last; None before that.
    """

    cache_path: Path | None = None

    def __init__(self, function: Callable[..., Any]) -> None:
        module = function.__module__.removeprefix("normscope.kernels.")
        self._name = f"{module}.{function.__qualname__}"
        self._enabled = True

    def enable(self) -> None:
        """Read and write files."""
        self._enabled = True

    def disable(self) -> None:
        """Leave files alone."""
        self._enabled = False

    def flush(self) -> None:
        """Remove the files of this function."""
        for folder in folders():
            for path in folder.glob(f"{self._name}-*.nbc"):
                with suppress(OSError):
                    path.unlink()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function for a signature, or None if there is none that is whole."""
        target_context.refresh()
        if not self._enabled:
            return None
        purpose = self._purpose(sig, target_context.codegen())
        for folder in folders():
            try:
                content = (folder / self._file_name(purpose)).read_bytes()
            except OSError:
                continue
            digest, code = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
            if digest != _digest(purpose, code):
                continue
            try:
                found = CompileResult._rebuild(target_context, *pickle.loads(code))  # type: ignore[no-untyped-call]
            except Exception:  # whatever is wrong with it: it can be compiled
                continue
            self.cache_path = folder
            return found
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write the compiled function for a signature, in the first folder that takes it."""
        if not self._enabled or data.library.has_dynamic_globals:
            return
        purpose = self._purpose(sig, data.codegen)
        code: bytes = dumps(data._reduce())  # type: ignore[no-untyped-call]
        refused = []
        for folder in folders():
            try:
                _write(folder / self._file_name(purpose), _digest(purpose, code) + code)
            except OSError as error:
                refused.append(f"{folder}: {error.strerror or error}")
                continue
            self.cache_path = folder
            return
        _say_once(refused)

    def _purpose(self, sig: Any, codegen: Any) -> str:
        """The function, the types of its arguments, and the processor."""
        return repr((self._name, sig, codegen.magic_tuple()))

    def _file_name(self, purpose: str) -> str:
        """A name for any version of the sources: a file that is stale is written over."""
        short = hashlib.sha256(purpose.encode()).hexdigest()[:20]
        return f"{self._name}-{short}.{sys.implementation.cache_tag}.nbc"


def folders() -> Iterator[Path]:
    """Where machine code may lie, the best place first.

    `NUMBA_CACHE_DIR` where that is set, beside the sources, and in the user's cache folder; never
    below the working directory, where an empty `XDG_CACHE_HOME` or a home that is not known lead.
    """
    own = f"normscope-{hashlib.sha256(str(PACKAGE).encode()).hexdigest()[:16]}"
    if config.CACHE_DIR:  # type: ignore[attr-defined]
        yield Path(config.CACHE_DIR) / own  # type: ignore[attr-defined]
    yield PACKAGE / "__pycache__"
    named = (os.environ.get("XDG_CACHE_HOME", ""), os.environ.get("LOCALAPPDATA", ""))
    for folder in (*named, os.path.expanduser("~/.cache")):
        if os.path.isabs(folder):
            yield Path(folder) / own
            return


def _digest(purpose: str, code: bytes) -> bytes:
    return hashlib.sha256(sources() + purpose.encode() + code).digest()


@cache
def sources() -> bytes:
    """One digest of Numba's version and of all files of this package.

    A kernel is made of parts from many of them, so each is compiled anew when any changes.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for content in _contents(files("normscope.kernels")):
        digest.update(content)
    return digest.digest()


def _contents(folder: Traversable) -> Iterator[bytes]:
    """Of all files of code in a folder, which may lie in an archive."""
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.is_dir():
            yield from () if file.name == "__pycache__" else _contents(file)
        elif file.name.endswith((".py", ".pyc")):
            yield file.read_bytes()


def _write(path: Path, content: bytes) -> None:
    """Write a file so that any process sees all of it or nothing.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:16]}")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


_said: list[str] = []


def _say_once(refused: list[str]) -> None:
    if _said:
        return
    _said.append("; ".join(refused))
    warnings.warn(
        "compiled kernels cannot be kept on disk, so every process compiles them anew, which takes "
        f"seconds ({_said[0]}); set NUMBA_CACHE_DIR to a folder that can be written to",
        RuntimeWarning,
        stacklevel=2,
    )
