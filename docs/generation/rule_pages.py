"""One page for each rule of the audit, made of the docstring of its file."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from generation.pages import stacked, write_if_changed
from generation.references import linked
from normscope.audit import all_rules
from normscope.audit.rule import Rule

FAMILIES = {
    "NS0": "Allowances",
    "NS1": "Axes and statistics sets",
    "NS2": "Numerics",
    "NS3": "Running statistics and modes",
    "NS4": "Parameters",
    "NS5": "Porting",
    "NS6": "Structure",
    "NS7": "Coupling",
    "NS8": "Export",
    "NS9": "Inputs",
}

_HEADING = re.compile(r"^(\S.*):$", re.M)


def write(folder: Path) -> None:
    """Write a page for each rule, and their list by family."""
    for rule in all_rules():
        write_if_changed(folder / f"{page_name(rule)}.md", page(rule))
    write_if_changed(folder / "list.md", table())


def page_name(rule: Rule) -> str:
    """The name of the page of a rule."""
    return f"{rule.code.lower()}-{rule.name}"


def page(rule: Rule) -> str:
    """The page of one rule: its headings become headings, its references links."""
    _, *lines = rule.documentation.splitlines()
    text = _HEADING.sub(r"## \1", textwrap.dedent("\n".join(lines)))
    before, heading, references = text.partition("## References")
    parts = [f"# {rule.code} {rule.name}", f"{rule.summary[:1].upper()}{rule.summary[1:]}"]
    facts = [f"Severity: **{rule.severity}**", f"family: {FAMILIES[rule.code[:3]].lower()}"]
    if rule.intents:
        facts.append("silent where it is meant: " + ", ".join(f"`{i}`" for i in rule.intents))
    parts.append("; ".join(facts) + f"; since {rule.since}.")
    parts.append(_dedented(before))
    if rule.symptoms:
        parts.append("## What one sees\n\n" + "\n".join(f"- {s}." for s in rule.symptoms))
    if heading:
        parts.append(f"{heading}\n\n{linked(_dedented(references))}")
    parts.append(
        f"`normscope rules {rule.code}` prints this page; `--ignore {rule.code}` leaves the rule "
        f"out; `--select {rule.code}` asks for it alone."
    )
    return "\n\n".join(part.strip() for part in parts) + "\n"


def table() -> str:
    """All rules by family, with what each finds."""
    parts = []
    about_models = {family: title for family, title in FAMILIES.items() if family != "NS0"}
    for family, title in {**about_models, "NS0": FAMILIES["NS0"]}.items():
        rules = [rule for rule in all_rules() if rule.code.startswith(family)]
        if rules:
            rows = [
                f"| [{rule.code} {rule.name}](generated/rules/{page_name(rule)}.md) "
                f"| {rule.severity} | {rule.summary.rstrip('.')} |"
                for rule in rules
            ]
            head = ["| rule | severity | what it finds |", "|-|-|-|"]
            whole = stacked("\n".join([*head, *rows]))
            parts.append(f"## {family} {title}\n\n{whole}")
    pages = "\n".join(f"generated/rules/{page_name(rule)}" for rule in all_rules())
    parts.append(f"```{{toctree}}\n:hidden:\n\n{pages}\n```")
    return "\n\n".join(parts) + "\n"


def _dedented(text: str) -> str:
    """The text below headings, whose lines are indented."""
    return re.sub(r"^    ", "", text, flags=re.M)
