"""The rules there are: every module in `rules/`."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher, get_close_matches
from functools import cache
from importlib import import_module
from operator import eq

from normscope.audit import rules
from normscope.audit.rule import Rule
from normscope.errors import SpecError

FAMILIES = {
    "NS0": "settings",
    "NS1": "axes",
    "NS2": "numerics",
    "NS3": "statistics",
    "NS4": "parameters",
    "NS5": "porting",
    "NS6": "structure",
    "NS7": "coupling",
    "NS8": "export",
    "NS9": "inputs",
}
"""The first letters of the codes of a family, and its name; NS0 is about the audit itself."""


@cache
def all_rules() -> tuple[Rule, ...]:
    """One instance of every rule, in the order of their codes.

    >>> "single-value-statistic" in [rule.name for rule in all_rules()]
    True
    """
    for module in pkgutil.iter_modules(rules.__path__):
        import_module(f"{rules.__name__}.{module.name}")
    return tuple(sorted((rule() for rule in Rule.__subclasses__()), key=lambda rule: rule.code))


def find_rule(code_or_name: str) -> Rule:
    """The rule of a code or name.

    Raises:
        SpecError: there is none.
    """
    for rule in all_rules():
        if code_or_name.lower() in (rule.code.lower(), rule.name):
            return rule
    meant = _nearest(code_or_name)
    hint = f"did you mean {meant}? " if meant else ""
    raise SpecError(
        f"there is no rule {code_or_name!r}; {hint}`normscope rules` lists the "
        f"{len(all_rules())} there are"
    )


def _nearest(wrong: str) -> str:
    """The code, name or family that looks most like this text; "" if none does.

    Of several that share as many letters it is the one that has them at the same places.
    """
    names = [word for rule in all_rules() for word in (rule.code, rule.name)]
    names += FAMILIES.values()
    alike = {name.lower(): name for name in names}
    close = get_close_matches(wrong.lower(), alike, n=len(alike), cutoff=0.7)

    def likeness(name: str) -> tuple[float, int]:
        same_places = sum(map(eq, name, wrong.lower()))
        return SequenceMatcher(None, name, wrong.lower()).ratio(), same_places

    return alike[max(close, key=likeness)] if close else ""


def selected_rules(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[Rule, ...]:
    """The rules of these codes, names or families; all if none is selected.

    >>> [rule.code for rule in selected_rules(["NS501, coupling"], ["NS702"])][:2]
    ['NS501', 'NS701']

    A rule that most models do not need (`Rule.default`) is selected by its own code or name alone.

    Raises:
        SpecError: a code or name that no rule has.
    """
    wanted = rules_called(select) if select else _usual(all_rules())
    unwanted = rules_called(ignore)
    return tuple(rule for rule in all_rules() if rule in wanted and rule not in unwanted)


def rules_called(texts: Sequence[str]) -> tuple[Rule, ...]:
    """The rules that texts name: each one a code, a name or a family, or several with commas.

    Raises:
        SpecError: a code or name that no rule has.
    """
    words = [part.strip() for text in texts for part in text.removesuffix(",").split(",")]
    return tuple(dict.fromkeys(rule for word in words for rule in _matching(word)))


def _matching(word: str) -> list[Rule]:
    code = {name: code for code, name in FAMILIES.items()}.get(word.lower(), word.upper())
    family = _usual(rule for rule in all_rules() if rule.code.startswith(code))
    return family if len(code) > 2 and family else [find_rule(word)]


def _usual(rules: Iterable[Rule]) -> list[Rule]:
    return [rule for rule in rules if rule.default]
