"""What the rules say of a model, and what of that counts: not what is meant, allowed, or known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from normscope.audit.allowances import Allowance, Allowed, AtPaths, silenced, why_unused
from normscope.audit.baseline import Entry
from normscope.audit.finding import Finding
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.policy import Policy
from normscope.audit.result import Audit
from normscope.audit.rules.ns001_unused_allowance import UnusedAllowance


def judged_by(graph: ModelGraph, policy: Policy, verbose: bool = False) -> Audit:
    """What the rules say of a model.

    Args:
        graph: the model.
        policy: what is asked of it.
        verbose: the report lists, too, what looked like a normalization and is none.
    """
    rules = policy.rules()
    at_sites = [
        silenced((finding for rule in rules for finding in rule.check(site, graph)), policy.tags)
        for site in graph.sites
    ]
    of_model = silenced((f for rule in rules for f in rule.check_model(graph)), policy.tags)
    ran = frozenset(rule.code for rule in rules)
    sort = _Sorting(graph, policy, [of_model, *at_sites], [None, *graph.sites])
    unused = [(one, why) for one in sort.unused() if (why := why_unused(one, sort.paths, ran))]
    ns001 = next((rule for rule in rules if isinstance(rule, UnusedAllowance)), None)
    said = tuple(
        ns001.unused(one.where, one.path, why)
        for one, why in unused
        if ns001 is not None and one not in policy.shared
    )
    counting_of_model, *by_site = sort.counting
    own = (*said, *counting_of_model)
    return Audit(
        graph,
        (*own, *(finding for there in by_site for finding in there)),
        verbose,
        tuple(by_site),
        own,
        allowed=tuple(sort.allowed),
        known=tuple(sort.known),
        stale=sort.stale,
        unused=frozenset(one for one, _ in unused),
        entries=tuple(sort.entries),
    )


class _Sorting:
    """The findings, sorted into those that count, are allowed, or are known.

    Attributes:
        counting: those that count, in the groups in which they came.
        allowed, known: the others.
        entries: of those that count and those that are known, as a baseline holds them.
        stale: the entries of the baseline that nothing was found for.
        paths: of the layers that there are.
    """

    def __init__(
        self,
        graph: ModelGraph,
        policy: Policy,
        groups: Sequence[Sequence[Finding]],
        sites: Sequence[Site | None],
    ) -> None:
        self.policy = policy
        self.allowed: list[Allowed] = []
        self.used: set[Allowance] = set()
        left = [tuple(self._not_allowed(group)) for group in groups]
        flat = [
            (finding, site) for there, site in zip(left, sites, strict=True) for finding in there
        ]
        self.entries = [Entry.of(finding, site) for finding, site in flat]
        self.stale: tuple[Entry, ...] = ()
        numbers: frozenset[int] = frozenset()
        if policy.baseline is not None:
            label = policy.label or graph.file or graph.name
            findings = [finding for finding, _ in flat]
            numbers, self.stale = policy.baseline.sorted_out(
                label, findings, lambda number: self.entries[number]
            )
        self.known = [finding for n, (finding, _) in enumerate(flat) if n in numbers]
        self.counting: list[tuple[Finding, ...]] = []
        number = 0
        for there in left:
            new = (finding for n, finding in enumerate(there, number) if n not in numbers)
            self.counting.append(tuple(new))
            number += len(there)
        found = [finding.path for group in groups for finding in group]
        named = [site.path for site in (*graph.sites, *graph.dismissed)]
        self.paths = tuple(dict.fromkeys([*named, *found]))

    def _not_allowed(self, findings: Sequence[Finding]) -> Iterator[Finding]:
        for finding in findings:
            allowance = next((a for a in self.policy.allowances if a.covers(finding)), None)
            if allowance is None:
                yield finding
            else:
                self.used.add(allowance)
                self.allowed.append(Allowed(finding, allowance.reason))

    def unused(self) -> list[AtPaths]:
        """What is said of layers and may have changed nothing."""
        rest = [one for one in self.policy.allowances if one not in self.used]
        return [*rest, *(tag for tag in self.policy.tags if not self._names(tag))]

    def _names(self, one: AtPaths) -> bool:
        return any(one.matches(path) for path in self.paths)
