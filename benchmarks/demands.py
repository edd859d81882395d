"""What is demanded of normscope, beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Demand:
    """One figure that has a limit.

    Attributes:
        what: was measured.
        limit: the worst that is allowed.
        measured: the figure.
        at_least: whether larger is better: times as fast as a peer.
    """

    what: str
    limit: float
    measured: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it is, to the two digits that are printed."""
        measured = round(self.measured, 2)
        return measured >= self.limit if self.at_least else measured <= self.limit

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        verdict = "met" if self.met else "NOT MET"
        return f"{self.what:72} {sign} {self.limit:<5g} {self.measured:8.2f}  {verdict}"


def report(demands: Sequence[Demand], check: bool) -> int:
    """Print them; the exit status is 1 if one is not met and that is asked for."""
    print(f"\n{'demanded':72}  limit   measured")
    for demand in demands:
        print(demand)
    missed = sum(not demand.met for demand in demands)
    print(f"{len(demands) - missed} of {len(demands)} demands are met", flush=True)
    return int(check and missed > 0)
