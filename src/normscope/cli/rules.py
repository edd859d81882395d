"""`normscope rules`: the rules of the audit."""

from __future__ import annotations

from typing import Annotated

import typer

from normscope.cli.options import ending
from normscope.cli.output import print_text

ENDING = ending(
    "normscope rules",
    "normscope rules NS103",
    "normscope rules redundant-bias",
    status="0 shown, 2 there is no such rule",
)


def rules(
    code: Annotated[
        str | None, typer.Argument(metavar="[CODE]", help="Code or name of one rule.")
    ] = None,
) -> None:
    """List the rules of the audit, or explain one."""
    from normscope.audit import all_rules, find_rule
    from normscope.audit.catalogue import FAMILIES

    if code is not None:
        print_text(find_rule(code).documentation)
        return
    width = max(len(rule.name) for rule in all_rules())
    families = [
        "\n".join(
            [
                f"{family} {name}",
                *(
                    f"  {rule.code}  {rule.severity:7}  {rule.name:{width}}  {rule.summary}"
                    for rule in all_rules()
                    if rule.code.startswith(family)
                ),
            ]
        )
        for family, name in FAMILIES.items()
    ]
    print_text("\n\n".join(families))
