"""A finding: a release does something else than it documents, or than one expects.

Each is a file in `findings/wrong` or `findings/surprising`. Its docstring is what the page says: a
headline, and the fields below. What stands under it is the reproduction, which asserts what is
wrong, or raises what the field `Raises` names: it fails once the framework is right.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).with_name("findings")
KINDS = ("wrong", "surprising")
LINES = 5
"""As many lines has a reproduction at most, empty ones aside."""

_FIELD = re.compile(r"^(On|Link|Documented|Found|Hurts|Raises): (.*?)(?=^\w+: |\Z)", re.M | re.S)


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        name: its file.
        kind: `"wrong"`: not as documented, or of no use; `"surprising"`: not as one expects.
        headline: what is so, in a sentence.
        on: the part of the catalogue whose process shows it; `"keras"` is every backend.
        link: to the public documentation.
        documented, found, hurts: what is said there, what is true, whom it hurts.
        raises: the exception that ends the reproduction, or "".
        code: the reproduction.
    """

    name: str
    kind: str
    headline: str
    on: str
    link: str
    documented: str
    found: str
    hurts: str
    raises: str
    code: str

    def shows_on(self, part: str) -> bool:
        """Whether the process of this part runs it."""
        return part == self.on or part.startswith(f"{self.on} on ")

    def problem(self) -> str:
        """Why the reproduction no longer shows it; "" if it does."""
        try:
            exec(compile(self.code, self.name, "exec"), {"__name__": self.name})
        except Exception as error:  # a framework may raise anything
            if type(error).__name__ == self.raises:
                return ""
            return f"{self.name} is no longer so: {type(error).__name__}: {error}"
        return f"{self.name} is no longer so: no {self.raises}" if self.raises else ""


def findings() -> list[Finding]:
    """All findings: what is wrong first, then by name."""
    return [_read(path, kind) for kind in KINDS for path in sorted((FOLDER / kind).glob("*.py"))]


def _read(path: Path, kind: str) -> Finding:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    headline, _, rest = (ast.get_docstring(tree) or "").partition("\n\n")
    fields = {name.lower(): " ".join(value.split()) for name, value in _FIELD.findall(rest + "\n")}
    end = tree.body[0].end_lineno
    code = "\n".join(text.splitlines()[end:]).strip() + "\n"
    lines = sum(bool(line) for line in code.splitlines())
    if lines > LINES:
        raise ValueError(f"{path}: the reproduction has {lines} lines, {LINES} are allowed")
    return Finding(
        name=path.stem,
        kind=kind,
        headline=headline.rstrip("."),
        raises=fields.pop("raises", ""),
        code=code,
        **fields,
    )
