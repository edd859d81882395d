"""NS001 unused-allowance: something is allowed, or said to be meant, that is not there.

What it finds:
    An entry of `allow` whose layer does not exist, or at which the rule finds nothing; an entry of
    `intents` whose layer does not exist.

Why it matters:
    Such an entry was written for a model that has changed since. It hides the next finding of that
    rule at that layer, for a reason that no longer holds.

How it is found:
    After the other rules have run, by what each entry has covered. An entry about rules that were
    not applied, because of --select or --ignore, is not judged.

Measured:
    Nothing; it is about what is written.

Known limits:
    Where several models share one configuration, an entry must be of use in one of them.

Use instead:
    Remove the entry, or correct the path of its layer.

References:
    Linters of programs report unused suppressions too: https://docs.astral.sh/ruff/rules/unused-noqa
"""

from __future__ import annotations

from normscope.audit.finding import Finding, Severity
from normscope.audit.rule import Rule


class UnusedAllowance(Rule):
    code, name, since = "NS001", "unused-allowance", "0.1"
    severity = Severity.WARNING

    def unused(self, where: str, path: str, why: str) -> Finding:
        """The finding about an entry that is not needed.

        Args:
            where: it is written.
            path: the layers that it is about.
            why: it is not needed.
        """
        return self.finding(
            path,
            f"{where}: {why}",
            fix="remove the entry, or correct the path of its layer",
            evidence={"where": where},
        )
