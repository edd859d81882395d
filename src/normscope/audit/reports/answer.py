"""The answer with which every report begins: what each layer normalizes, in one sentence."""

from __future__ import annotations

from normscope.audit.model_graph import Site
from normscope.audit.reports.grouping import MOST_GROUPS, SiteGroup
from normscope.audit.site_explanation import explanation_of
from normscope.explain.reports.sentence import what_is_normalized

MOST_SENTENCES = 4


def answer(groups: tuple[SiteGroup, ...]) -> tuple[str, ...]:
    """What the layers of a model normalize: one sentence if all do the same, else one for each way.

    Args:
        groups: the layers of the model, alike ones together.
    """
    total = sum(len(group.sites) for group in groups)
    if not total:
        return ("There is no normalization layer in this model.",)
    ways: dict[str, list[Site]] = {}
    for group in groups[:MOST_GROUPS]:
        ways.setdefault(_way(group.representative), []).extend(group.sites)
    few = len(groups) <= MOST_GROUPS and len(ways) <= MOST_SENTENCES + 1
    if few and len(ways) == 1 and total > 1:
        return (f"Each of the {total} normalization layers normalizes {next(iter(ways))}.",)
    shown = list(ways.items())[: None if few else MOST_SENTENCES]
    sentences = [_sentence(way, sites, total) for way, sites in shown]
    left = total - sum(len(sites) for _, sites in shown)
    return (*sentences, *([f"The other {left} layers normalize in other ways."] if left else []))


def _sentence(way: str, sites: list[Site], total: int) -> str:
    if len(sites) == 1:
        return f"{sites[0].path} normalizes {way}."
    return f"{len(sites)} of the {total} layers ({sites[0].path}, ...) each normalize {way}."


def _way(site: Site) -> str:
    explanation = explanation_of(site)
    if explanation is None:
        return f'by the pattern "{site.train.pattern}" an input whose shape is not known'
    later = "; at inference it uses stored statistics" if site.train.running else ""
    return what_is_normalized(explanation) + later
