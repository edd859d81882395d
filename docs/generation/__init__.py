"""Pages of the documentation that are made of the package itself, so that they cannot differ.

`write_all` writes them into `docs/generated`, which is not kept: one page for each rule of the
audit, the index by symptom, the gallery of patterns, and the report page of the tour.
"""

from __future__ import annotations

from pathlib import Path

from generation import gallery, rule_pages, symptoms, tour


def write_all(docs: Path) -> None:
    """Write all generated pages below `docs`."""
    folder = docs / "generated"
    rule_pages.write(folder / "rules")
    symptoms.write(folder)
    gallery.write(folder)
    tour.write(folder)
