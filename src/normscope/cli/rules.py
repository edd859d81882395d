"""`normscope rules`: the rules of the audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from normscope.cli.options import ending
from normscope.cli.output import print_text

if TYPE_CHECKING:
    from normscope.audit.rule import Rule

ENDING = ending(
    "normscope rules",
    "normscope rules NS103",
    "normscope rules coupling",
    "normscope rules redundant-bias",
    status="0 shown, 2 there is no such rule",
)


def rules(
    code: Annotated[
        str | None, typer.Argument(metavar="[CODE]", help="Code or name of one rule, or a family.")
    ] = None,
) -> None:
    """List the rules of the audit, or explain one."""
    from normscope.audit import all_rules
    from normscope.audit.catalogue import rules_called

    found = all_rules() if code is None else rules_called([code])
    if len(found) == 1:
        print_text(found[0].documentation)
        return
    families = {rule.code[:3] for rule in found}  # whole, with what is applied by name alone
    print_text(_listed([rule for rule in all_rules() if rule.code[:3] in families]))


def _listed(rules: Sequence[Rule]) -> str:
    """A line for each rule, by family."""
    from normscope.audit.catalogue import FAMILIES

    width = max(len(rule.name) for rule in rules)
    families = []
    for family, name in FAMILIES.items():
        lines = [
            f"  {rule.code}  {rule.severity:7}  {rule.name:{width}}  {rule.summary}"
            for rule in rules
            if rule.code.startswith(family)
        ]
        if lines:
            families.append("\n".join([f"{family} {name}", *lines]))
    return "\n\n".join(families)
