"""The rules there are: every module in `rules/`."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cache
from importlib import import_module

from normscope.audit import rules
from normscope.audit.rule import Rule
from normscope.errors import SpecError


@cache
def all_rules() -> tuple[Rule, ...]:
    """One instance of every rule, in the order of their codes.

    >>> [rule.name for rule in all_rules()][:3]
    ['single-value-statistic', 'channel-axis-mismatch', 'rank-outside-contract']
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
    names = [word for rule in all_rules() for word in (rule.code, rule.name)]
    close = get_close_matches(code_or_name, [*names, *map(str.lower, names)], n=1, cutoff=0.7)
    meant = [word if word in names else word.upper() for word in close]
    hint = f"did you mean {meant[0]}? There" if meant else "there"
    known = ", ".join(f"{rule.code} {rule.name}" for rule in all_rules())
    raise SpecError(f"there is no rule {code_or_name!r}; {hint} are {known}")


def selected_rules(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[Rule, ...]:
    """The rules of these codes, names or families ("NS1"); all if none is selected.

    A rule that most models do not need (`Rule.default`) is selected by its own code or name alone.

    Raises:
        SpecError: a code or name that no rule has.
    """
    wanted = (
        [rule for word in select for rule in _matching(word)] if select else _usual(all_rules())
    )
    unwanted = [rule for word in ignore for rule in _matching(word)]
    return tuple(rule for rule in all_rules() if rule in wanted and rule not in unwanted)


def _matching(word: str) -> list[Rule]:
    family = _usual(rule for rule in all_rules() if rule.code.startswith(word.upper()))
    return family if len(word) > 2 and family else [find_rule(word)]


def _usual(rules: Iterable[Rule]) -> list[Rule]:
    return [rule for rule in rules if rule.default]
