"""The index by symptom: what one sees leads to the rules that explain it."""

from __future__ import annotations

from pathlib import Path

from generation.pages import write_if_changed
from generation.rule_pages import page_name
from normscope.audit import all_rules
from normscope.audit.rule import Symptom


def write(folder: Path) -> None:
    """Write the list, which `symptoms.md` includes."""
    parts = []
    for symptom in Symptom:
        rules = [rule for rule in all_rules() if symptom in rule.symptoms]
        entries = "\n".join(
            f"- [{rule.name}](generated/rules/{page_name(rule)}.md): {rule.summary}"
            for rule in rules
        )
        parts.append(f"## {symptom}\n\n{entries}")
    write_if_changed(folder / "symptoms.md", "\n\n".join(parts) + "\n")
