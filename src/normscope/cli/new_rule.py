"""`normscope new-rule`: the skeleton of a rule of the audit."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from normscope.cli.options import ending
from normscope.cli.output import print_text

ENDING = ending(
    "normscope new-rule NS109 name-of-what-is-wrong",
    status="0 written, 2 the code or the name is taken, or this is not a checkout",
)

_NEXT = """\
{rule}
  its docstring is its page: fill in each part; below it, say when a site is wrong
{fixtures}
  models in which it must fire and their healthy twins, in torch, keras, onnx and jax
then run: python -m pytest tests/audit/rules -k {code}"""


def new_rule(
    code: Annotated[str, typer.Argument(help="A free code: NS109.")],
    name: Annotated[str, typer.Argument(help="The bad pattern: single-value-statistic.")],
) -> None:
    """Write the skeleton of a new rule, in a checkout of normscope."""
    from normscope.audit.new_rule import write_rule

    rule, fixtures = map(os.path.relpath, write_rule(code, name))
    print_text(_NEXT.format(rule=rule, fixtures=fixtures, code=code))
