"""The exceptions of normscope, one class per cause, and how culprits and names are shown in them.

A message has up to four parts: what was asked, what came, where it went wrong, and what to write
instead. The facts are kept as attributes too, so that a program need not read the sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

_LINE = "\n  "
"""Between the lines of a message."""


class NormscopeError(Exception):
    """Base class of every error that normscope raises on purpose."""


class PatternError(NormscopeError, ValueError):
    """A pattern is not in the bracket notation. Attributes: `pattern`, `position`, `reason`.

    >>> import normscope as ns
    >>> ns.spec("b [h w c")
    Traceback (most recent call last):
    normscope.errors.PatternError: this bracket is never closed
      b [h w c
        ^
      close it after the last shared axis: "b [h w c]"
    """

    def __init__(
        self, reason: str, pattern: str, start: int, stop: int | None = None, hint: str = ""
    ) -> None:
        self.reason = reason
        self.pattern = pattern
        self.position = start
        self.hint = hint
        lines = [reason, *point(pattern, start, stop)]
        super().__init__("\n  ".join(lines + ([hint] if hint else [])))


class ShapeError(NormscopeError, ValueError):
    """An array or a shape does not meet the contract of a pattern. Attributes: `pattern`, `shape`.

    Where there is no shape, `shape` is empty, and the message does not show it.

    >>> import normscope as ns
    >>> ns.explain("b [c]", shape=(8, 128, 56, 56))
    Traceback (most recent call last):
    normscope.errors.ShapeError: pattern "b [c]" has 2 axes, the shape has 4
      shape = (8, 128, 56, 56)
      for 4 axes write "... [c]" (vectors along the last axis) or "b [...]" (whole samples)
    """

    def __init__(
        self, reason: str, pattern: str | None, shape: Sequence[object] | None, hint: str = ""
    ) -> None:
        self.reason = reason
        self.pattern = pattern
        self.shape = tuple(shape or ())
        self.hint = hint
        lines = [reason, *([] if shape is None else [f"shape = {self.shape}"])]
        super().__init__("\n  ".join(lines + ([hint] if hint else [])))


class SpecError(NormscopeError, ValueError):
    r"""The fields of a `NormSpec`, or the arguments given with it, contradict each other.

    The message escapes the names in it, which may come from strangers; lines of its own begin with
    two spaces.

    >>> print(SpecError("no input a\nb\x1b[2J\n  write --input x=4,8"))
    no input a\nb\x1b[2J
      write --input x=4,8
    """

    def __init__(self, message: object = "") -> None:
        lines = str(message).split(_LINE)
        super().__init__(_LINE.join(map(printable, lines)))


class DtypeError(NormscopeError, TypeError):
    """An array has a dtype or a type that cannot be normalized."""


class ModelFileError(NormscopeError, ValueError):
    """A model file could not be read. Attributes: `path`, `reason`; the message escapes both."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(printable(shortened(f"{path}: {reason}")))


class ContractWarning(UserWarning):
    """An input breaks what the layer's documentation promises, where nothing enforces it.

    Raised by `normscope.keras1.BatchNormalization(mode=1)`; see its argument `contract`.
    """


class MissingPackageError(NormscopeError, ImportError):
    """An optional package is needed and is not installed."""


class KernelsError(NormscopeError, ImportError):
    """The compiled kernels are needed and there are none, or they cannot be loaded."""


_INSTALL = {
    "equinox": "equinox",
    "flax": "flax",
    "h5py": "h5py",
    "haiku": "dm-haiku",
    "jax": "jax",
    "keras": "keras torch",
    "onnx": "onnx onnxruntime",
    "onnxruntime": "onnx onnxruntime",
    "tensorflow": "tensorflow",
    "torch": "torch",
}
"""What to install for a module; Keras needs a backend too."""


def missing_package(error: ImportError, who: str) -> MissingPackageError:
    """The error for an import that failed, with the command that installs what is missing.

    >>> print(missing_package(ModuleNotFoundError(name="haiku"), "this model"))
    this model needs haiku, which is not installed: pip install dm-haiku
    """
    name = (error.name or "").split(".")[0]
    if not isinstance(error, ModuleNotFoundError) or not name:
        return MissingPackageError(f"{who} cannot be imported: {error}")
    if name == "tensorflow":
        other = ", or choose a backend of Keras that is: KERAS_BACKEND=torch"
        return MissingPackageError(
            f"{who} needs tensorflow, which is not installed: pip install tensorflow{other}"
        )
    if name in _INSTALL:
        return MissingPackageError(
            f"{who} needs {name}, which is not installed: pip install {_INSTALL[name]}"
        )
    close = get_close_matches(name, _INSTALL, n=1)
    hint = f"; did you mean {close[0]}?" if close else "; is it spelt so, and installed?"
    return MissingPackageError(f"{who}: there is no module {name}{hint}")


def point(text: str, start: int, stop: int | None = None) -> list[str]:
    r"""The line `text` and, under it, carets below the characters `start` to `stop`.

    >>> print("\n".join(point("b [h w c", 2)))
    b [h w c
      ^
    """
    width = max(1, (start + 1 if stop is None else stop) - start)
    return [text, " " * start + "^" * width]


def printable(text: str) -> str:
    r"""The text with all escaped that a screen would obey instead of showing it.

    The names of files and layers come from strangers. A line break, an ANSI sequence or a turn of
    the direction of writing in one must not reach the reader as such; bytes of a file name that are
    not UTF-8 are shown by their numbers.

    >>> print(printable("a\n\x1b[2Jb\u202ec\udcff.h5"))
    a\n\x1b[2Jb\u202ec\xff.h5
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


MOST_LETTERS = 2000


def shortened(text: str) -> str:
    """The text, without its middle where it has more than `MOST_LETTERS`.

    Whatever a stranger called a thing, a message stays one that can be read.

    >>> len(shortened("a" * 10_000_000))
    2000
    """
    if len(text) <= MOST_LETTERS:
        return text
    return f"{text[: MOST_LETTERS - 405]} ... {text[-400:]}"


def _escaped(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # how Python holds a byte that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()
