"""What is no longer as it is written: rows, findings, and the page itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from catalogue import page
from catalogue.finding import findings
from catalogue.parts import PARTS, measured_here, module_of


def problems(part: str) -> Iterator[str]:
    """One line for each thing that has changed.

    Args:
        part: one of `PARTS`, in a process on its backend; or "page", which needs no framework.
    """
    written = json.loads(page.DATA.read_text(encoding="utf-8"))
    if part == "page":
        yield from _problems_of_page(written)
        return
    yield from forgotten(part)
    yield from differences(written[part]["rows"], measured_here(part)["rows"])
    for finding in findings():
        if finding.shows_on(part) and (problem := finding.problem()):
            yield problem


NORMALIZATION = re.compile(r"\w*(Norm|Normalization|LRN)(\dd)?")
OF_WEIGHTS = {"SpectralNorm", "WeightNorm"}


def forgotten(part: str) -> Iterator[str]:
    """One line for each public normalization that has no row; a new release may bring some."""
    module = module_of(part)
    shown = {name for row in module.ROWS for name in re.findall(r"\w+", row.code)}
    for name in module.PUBLIC:
        if NORMALIZATION.fullmatch(name) and name not in shown | OF_WEIGHTS:
            yield f"{name} has no row: write one into catalogue/{PARTS[part]}.py"


def differences(written: list[dict[str, Any]], found: list[dict[str, Any]]) -> Iterator[str]:
    """One line for each row that is another one now."""
    before = {(row["layer"], row["axes"]): row for row in written}
    now = {(row["layer"], row["axes"]): row for row in found}
    for layer in [*before, *(layer for layer in now if layer not in before)]:
        title = " on ".join(layer)
        if layer not in now or layer not in before:
            yield f"{title} is {'new' if layer in now else 'gone'}: run make catalogue"
            continue
        for field, value in now[layer].items():
            if value != before[layer].get(field):
                yield f"{title}: {field} was {before[layer].get(field)}, now it is {value}"


def _problems_of_page(written: dict[str, Any]) -> Iterator[str]:
    if list(written) != list(PARTS):
        yield f"computed.json has the parts {list(written)}, not {list(PARTS)}: run make catalogue"
    for finding in findings():
        if not any(finding.shows_on(part) for part in PARTS):
            yield f"{finding.name}: no process runs it; On: is none of {list(PARTS)}"
    if page.PAGE.read_text(encoding="utf-8") != page.rendered(written):
        yield "docs/computed.md is not what computed.json and the findings say: run make catalogue"
