"""`Case`: one hostile file, or a good one, and what the command must make of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class Expected(Enum):
    """What becomes of a file."""

    READ = "status 0 or 1"
    REFUSED = "status 2 and one line that says why"
    EITHER = "one of the two"


@dataclass(frozen=True)
class Place:
    """Where the file of a case is written.

    Attributes:
        folder: of this case alone; what is in it may be read.
        outside: a folder that nobody may open a file in, nor write to.
    """

    folder: Path
    outside: Path

    @property
    def up(self) -> str:
        """The way from the folder to the folder outside."""
        return "../../outside"

    @property
    def canary(self) -> Path:
        """The file that code in a hostile file would make."""
        return self.outside / "fired"

    def file(self, name: str, content: bytes | str = b"") -> Path:
        """A file of the case."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path


Make = Callable[[Place], Path | Sequence[str | Path]]
"""Writes a file and gives its path, or the whole command line."""


@dataclass(frozen=True)
class Case:
    """One file.

    Attributes:
        name: what is wrong with it.
        make: writes it.
        expected: what the command makes of it.
        said: words that the message has, or the report.
    """

    name: str
    make: Make
    expected: Expected = Expected.REFUSED
    said: str = ""


@dataclass(frozen=True)
class Family:
    """The cases of one format."""

    title: str
    cases: list[Case] = field(default_factory=list)

    def add(
        self, name: str, make: Make, expected: Expected = Expected.REFUSED, said: str = ""
    ) -> None:
        """One more case."""
        self.cases.append(Case(f"{self.title}: {name}", make, expected, said))

    def hostile(self, name: str, said: str = "") -> Callable[[Make], Make]:
        """Decorate what writes a file that is refused."""
        return self._decorator(name, Expected.REFUSED, said)

    def good(self, name: str, said: str = "") -> Callable[[Make], Make]:
        """Decorate what writes a file that is read."""
        return self._decorator(name, Expected.READ, said)

    def odd(self, name: str, said: str = "") -> Callable[[Make], Make]:
        """Decorate what writes a file that may be refused, or read as far as that goes."""
        return self._decorator(name, Expected.EITHER, said)

    def _decorator(self, name: str, expected: Expected, said: str) -> Callable[[Make], Make]:
        def decorate(make: Make) -> Make:
            self.add(name, make, expected, said)
            return make

        return decorate
