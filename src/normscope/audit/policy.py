"""`Policy`: which rules are applied, what must be kept, and which findings do not fail an audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from normscope.audit.allowances import Allowance, AtPaths, Tag
from normscope.audit.baseline import Baseline
from normscope.audit.catalogue import selected_rules
from normscope.audit.promises import Wanted
from normscope.audit.rule import Rule


@dataclass(frozen=True)
class Policy:
    """What a team asks of a model.

    Attributes:
        select, ignore: codes, names or families of the rules to apply, and of those not to.
        promises: what the model must keep.
        allowances: the findings that are allowed.
        tags: what layers are meant to do.
        shared: those of both that are said of other models too, so that one model alone does not
            tell whether they are needed.
        baseline: the findings that are known; None without one.
        label: the name of the model in the baseline; "" is the name that it has itself.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    promises: tuple[Wanted, ...] = ()
    allowances: tuple[Allowance, ...] = ()
    tags: tuple[Tag, ...] = ()
    shared: frozenset[AtPaths] = frozenset()
    baseline: Baseline | None = None
    label: str = ""

    def rules(self) -> tuple[Rule, ...]:
        """The rules to apply.

        Raises:
            SpecError: a code or name that no rule has.
        """
        return selected_rules(self.select, self.ignore)

    def overridden(self, other: Policy) -> Policy:
        """Itself, but for what another one says; what is allowed and meant is so by either."""
        kinds = {promise.kind for promise in other.promises}
        return Policy(
            other.select or self.select,
            other.ignore or self.ignore,
            (*(p for p in self.promises if p.kind not in kinds), *other.promises),
            (*self.allowances, *other.allowances),
            (*self.tags, *other.tags),
            self.shared | other.shared,
            other.baseline or self.baseline,
            other.label or self.label,
        )

    def checked(self) -> Self:
        """Itself, if there are such rules; so a wrong name is said before anything is read.

        Raises:
            SpecError: a code or name that no rule has.
        """
        self.rules()
        return self
