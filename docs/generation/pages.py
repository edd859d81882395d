"""Writing of pages."""

from __future__ import annotations

from pathlib import Path


def write_if_changed(path: Path, text: str) -> None:
    """Write a page; one that has not changed keeps its date, so that it is not built again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def stacked(table: str) -> str:
    """A table whose cells stand below each other where the page is narrow."""
    return f"```{{container}} stacked\n\n{table}\n```"
