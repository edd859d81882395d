"""`write_rule`: the skeleton of a new rule of the audit, in a checkout of the repository."""

from __future__ import annotations

import re
from pathlib import Path

from normscope.audit.catalogue import FAMILIES, all_rules
from normscope.errors import SpecError
from normscope.notation.values import shown
from normscope.version import __version__
from normscope.wording import listed

_CODE = re.compile(r"NS\d{3}")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40
_ADVICE = ("no-", "use-", "avoid-")

_RULE = '''"""{code} {name}: what is wrong, in one line.

What it finds:
    The layers that are wrong, and how they are told from those that are not.

Why it matters:
    What the user of the model sees, and when.

How it is found:
    From which facts of the site or of the graph, or by which probe.

Measured:
    The number that the message states, and what it says.

Known limits:
    What is meant so and is accused; what is wrong and is not seen.

Use instead:
    What to write.

References:
    A public case: repository#number.
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule, Symptom


class {title}(Rule):
    code, name, since = "{code}", "{name}", "{since}"
    severity = Severity.WARNING
    symptoms = (Symptom.EVALUATION,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        wrong = False  # say of `site` and `graph` when it is
        if wrong:
            yield self.finding(
                site,
                "what is wrong, with the number",
                fix="what to write instead",
                evidence={{}},
            )
'''

_FIXTURES = '''"""{code}: a model in which something is wrong, and its nearest healthy twin."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 8, 6, 6)).astype("float32")

# of the frameworks keras, onnx and jax: give models too, or say here why it cannot be wrong there
NOT_IN: dict[str, str] = {{}}


def _torch(wrong: bool) -> Any:
    from torch import nn

    return nn.Sequential(nn.GroupNorm(8 if wrong else 2, 8))


@sick("torch", at="0")
def wrong_torch() -> Any:
    return _torch(True), X


@healthy("torch")
def right_torch() -> Any:
    return _torch(False), X


def measured(finding: Finding, given: Given) -> None:
    """The number in the message, found by other means than the rule's."""
    assert finding.evidence
'''


def write_rule(code: str, name: str) -> tuple[Path, Path]:
    """Write the files of a new rule: the rule, and the models that it is tested on.

    Args:
        code: free, of a family: "NS109".
        name: free; it names the bad pattern, so that "allow NAME" reads well.

    Returns:
        The two files, relative to the current folder where that is possible.

    Raises:
        SpecError: the code or the name is taken or has another form, or this is not a checkout.
    """
    root = _checkout()
    _check(code, name)
    stem = f"{code.lower()}_{name.replace('-', '_')}"
    title = "".join(word.capitalize() for word in name.split("-"))
    since = ".".join(__version__.split(".")[:2])
    made = []
    for folder, text in (
        (root / "src" / "normscope" / "audit" / "rules", _RULE),
        (root / "tests" / "audit" / "rules", _FIXTURES),
    ):
        file = folder / f"{stem}.py"
        made.append((file, text.format(code=code, name=name, title=title, since=since)))
    there = [file for file, _ in made if file.exists()]
    if there:
        raise SpecError(f"{there[0]} is there already")
    for file, text in made:
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise SpecError(f"{file} cannot be written: {error.strerror}") from None
    (rule, _), (fixtures, _) = made
    return rule, fixtures


def _checkout() -> Path:
    """The folder of the repository that this package runs from."""
    root = Path(__file__).parents[3]
    if not (root / "tests" / "rule_fixtures.py").is_file() or not (root / "src").is_dir():
        raise SpecError(
            "new-rule writes into a checkout of normscope, and this one is installed; clone the "
            "repository, and run it there: python -m pip install -e ."
        )
    return root


def _check(code: str, name: str) -> None:
    """Refuse what is no free code or no free name."""
    if not _CODE.fullmatch(code):
        raise SpecError(
            f"{shown(code)} is not a code; write NS and three digits, of which the first is that "
            f"of a family: {listed([f'{key} {word}' for key, word in FAMILIES.items()])}"
        )
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise SpecError(
            f"{shown(name)} is not a name; write words of small letters with a hyphen between, at "
            f"most {_LONGEST} letters: single-value-statistic"
        )
    if name.startswith(_ADVICE):
        raise SpecError(
            f"{name}: name what is wrong, not what to do, so that an allowance of it reads well"
        )
    for rule in all_rules():
        if rule.code == code:
            number = next((n for n in range(1, 100) if _is_free(f"{code[:3]}{n:02}")), None)
            free = f"; {code[:3]}{number:02} is free" if number else ""
            raise SpecError(f"{code} is {rule.name}{free}")
        if rule.name == name:
            raise SpecError(f"{name} is {rule.code} already")


def _is_free(code: str) -> bool:
    return all(rule.code != code for rule in all_rules())
