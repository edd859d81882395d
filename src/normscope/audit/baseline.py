"""`Baseline`: the findings that were there when an old model was adopted; only new ones fail.

A finding is known again by its rule, the path of its layer and the kind of its normalization, not
by lines of the program; a layer whose number has changed since is known by the rest of its path.
The file is JSON, sorted, without a clock and without a path of the machine.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from normscope.audit.finding import Finding
from normscope.audit.model_graph import Site
from normscope.errors import ModelFileError, SpecError
from normscope.files.json import read_json
from normscope.notation.values import shown

VERSION = 1

_FIELDS = ("rule", "path", "kind", "count")


@dataclass(frozen=True, order=True)
class Entry:
    """A kind of finding that is known at one layer.

    Attributes:
        path: of the layer.
        rule: the code.
        kind: of the normalization, without names and lengths, such as `"[*] * [* *]"`.
    """

    path: str
    rule: str
    kind: str

    @staticmethod
    def of(finding: Finding, site: Site | None) -> Entry:
        """The entry of a finding, at a site or of the model as a whole."""
        return Entry(finding.path, finding.code, "" if site is None else _kind(site))

    @property
    def without_numbers(self) -> Entry:
        """The entry, whatever the numbers of layers are."""
        return Entry(re.sub(r"\d+", "#", self.path), self.rule, self.kind)

    def to_dict(self) -> dict[str, str]:
        """As JSON types."""
        return {"rule": self.rule, "path": self.path, "kind": self.kind}

    def __str__(self) -> str:
        return f"{self.rule} at {self.path or 'the model itself'}"


def _kind(site: Site) -> str:
    """The kind of a normalization: its pattern with a star for each name, else what it is."""
    if site.spec is None or site.spec.pattern is None:
        return str(site.kind)
    return re.sub(r"[A-Za-z_]\w*", "*", site.spec.pattern)


@dataclass(frozen=True)
class Baseline:
    """The findings that are known, of each model by its name.

    Attributes:
        path: of the file.
        models: for each model, how often each entry is known.
    """

    path: str
    models: Mapping[str, Counter[Entry]] = field(default_factory=dict)

    @staticmethod
    def read(path: str | os.PathLike[str]) -> Baseline:
        """The baseline in a file.

        Raises:
            ModelFileError: it cannot be read, or is not a baseline.
        """
        name = os.fspath(path)
        value = read_json(name, "not a baseline of normscope, which is JSON")
        if not isinstance(value, dict) or set(value) != {"version", "models"}:
            raise ModelFileError(name, "is not a baseline of normscope; --write-baseline makes one")
        if value["version"] != VERSION or type(value["version"]) is not int:
            said = shown(value["version"])
            raise ModelFileError(
                name, f"is a baseline of version {said}, this normscope reads version {VERSION}"
            )
        models = value["models"]
        if not isinstance(models, dict) or not all(isinstance(m, list) for m in models.values()):
            raise ModelFileError(name, "its models are not lists of findings")
        found: dict[str, Counter[Entry]] = {}
        for model, entries in models.items():
            counts = found.setdefault(model, Counter())
            for number, entry in enumerate(entries):
                _add(counts, entry, f"finding {number + 1} of {shown(model)}", name)
        return Baseline(name, found)

    def sorted_out(
        self, model: str, findings: Sequence[Finding], entry: Callable[[int], Entry]
    ) -> tuple[frozenset[int], tuple[Entry, ...]]:
        """The numbers of those findings that are known, and the entries that are stale.

        A finding that is known by its whole path comes before one that is known without numbers.

        Args:
            model: its name.
            findings: of it.
            entry: of the finding of a number.
        """
        left = Counter(self.models.get(model, Counter()))
        known = set()
        entries = [entry(number) for number in range(len(findings))]
        for number, own in enumerate(entries):
            if left[own] > 0:
                left[own] -= 1
                known.add(number)
        for number, own in enumerate(entries):
            alike = own.without_numbers
            match = next(
                (e for e in sorted(+left) if number not in known and e.without_numbers == alike),
                None,
            )
            if match is not None:
                left[match] -= 1
                known.add(number)
        return frozenset(known), tuple(sorted((+left).elements()))

    def with_model(self, model: str, entries: Sequence[Entry]) -> Baseline:
        """The baseline in which these are the known findings of a model."""
        return Baseline(self.path, {**self.models, model: Counter(entries)})

    def to_json(self) -> str:
        """The text of the file."""
        models = {
            model: [
                {**entry.to_dict(), "count": count}
                for entry, count in sorted(counts.items())
                if count > 0
            ]
            for model, counts in sorted(self.models.items())
        }
        value = {"version": VERSION, "models": models}
        return json.dumps(value, indent=2, ensure_ascii=True) + "\n"

    def write(self) -> None:
        """Write the file.

        Raises:
            SpecError: it cannot be written.
        """
        try:
            Path(self.path).write_text(self.to_json(), encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SpecError(f"the baseline {self.path} cannot be written: {reason}") from None


def _add(counts: Counter[Entry], row: object, which: str, path: str) -> None:
    if not isinstance(row, dict) or set(row) != set(_FIELDS):
        raise ModelFileError(path, f"{which} is {shown(row)}, not {', '.join(_FIELDS)}")
    rule, layer, kind, count = (row[name] for name in _FIELDS)
    if not all(isinstance(text, str) for text in (rule, layer, kind)):
        raise ModelFileError(path, f"{which} is {shown(row)}: rule, path and kind are texts")
    if type(count) is not int or not 0 < count < 10**9:
        raise ModelFileError(path, f"{which} has the count {shown(count)}, not a number above 0")
    counts[Entry(layer, rule, kind)] += count
