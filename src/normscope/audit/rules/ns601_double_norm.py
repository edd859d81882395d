"""NS601 double-norm: what was just normalized is normalized again, over the same axes.

What it finds:
    Two normalizations one after the other with nothing but casts, moves, dropout or a single
    factor between them, whose statistics are taken over the same axes; also one layer that is
    called twice in a row.

Why it matters:
    The second divides by the scale that the first has just set: what the first has learned as a
    scale is lost in part or as a whole. Features differ from those of a reference that normalizes
    once, and a pass over the data is wasted.

How it is found:
    From the graph: the output of the first is used by the second alone. An embedding norm whose
    output is also carried on by the first residual block is not accused.

Measured:
    Both are run on random numbers, with the weights of the model: by how much the second changes
    what the first gives, at most. As long as scale and bias are 1 and 0 that is next to nothing.

Known limits:
    Normalizations over different axes, such as a batch norm before a layer norm, are left alone,
    and so is the scaling of vectors to length 1 after a layer norm.

Use instead:
    One of the two. Behind layers that normalize last (post-norm) no final norm is needed.

References:
    pytorch#50086, mmpretrain#1842, snowfall PR 184, purnasai/Dino_V2#2
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule, Symptom
from normscope.graph.operators import Role
from normscope.notation.spec import Measure

_DIVIDES = (Measure.VARIANCE, Measure.MEAN_SQUARE)
_DROPS = (Role.MULTIPLY, Role.DIVIDE, Role.SELECT)


class DoubleNorm(Rule):
    code, name, since = "NS601", "double-norm", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.PARAMETERS, Symptom.PORT, Symptom.LEARNING)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        number = site.around.previous
        if number is None:
            return
        first = graph.sites[number]
        if not (_same_sets(first, site) and _alone(first, site)):
            return
        if site.around.begins_branch:
            return  # behind a dropout, a residual carries what the first made
        assert site.spec is not None
        change = _change(first, site)
        again = "again by the same layer" if first.path == site.path else "again"
        told = (
            "" if change is None else f"; on random numbers it changes that by at most {change:.1g}"
        )
        yield self.finding(
            site,
            f"the output of {first.path or first.title} is normalized {again}, over the same axes, "
            f'"{site.spec.pattern}", so the scale that was just set is undone{told}',
            fix=_fix(first, site),
            evidence={
                "first": first.path,
                "pattern": site.spec.pattern,
                "largest_change": change,
            },
        )


def _same_sets(first: Site, second: Site) -> bool:
    """Whether both divide by a deviation over the same axes of one array."""
    specs = first.spec, second.spec
    if any(spec is None or spec.measure not in _DIVIDES for spec in specs):
        return False
    if first.layout is None or second.layout is None:
        return False
    if first.input_shape != second.input_shape or first.layout.set_size in (1, None):
        return False
    axes = range(len(first.layout.shape))
    return all(first.word(axis) == second.word(axis) for axis in axes)


def _alone(first: Site, second: Site) -> bool:
    """Whether nothing but the second uses what the first gives."""
    users = first.around.users
    inside = all(user.path == second.path or user.role in _DROPS for user in users)
    return not first.around.is_output and bool(users) and inside


def _change(first: Site, second: Site) -> float | None:
    """By how much the second changes what the first makes of random numbers, at most."""
    if first.probe is None or second.probe is None or first.input_shape is None:
        return None
    x = np.random.default_rng(0).standard_normal([int(n or 2) for n in first.input_shape])
    once = first.probe(x, training=True)
    twice = None if once is None else second.probe(once, training=True)
    if once is None or twice is None or once.shape != twice.shape:
        return None
    change = float(np.abs(twice - once).max())
    return change if np.isfinite(change) else None


def _fix(first: Site, second: Site) -> str:
    between = first.around.between
    if between and between[-1].role is Role.SHIFT:  # post-norm: it normalizes a residual sum
        return (
            f"remove {second.path or 'the second'}: a final norm belongs behind layers that "
            "normalize first (norm_first=True), and these normalize last"
        )
    if first.path == second.path:
        return f"call {second.path or 'it'} once"
    return f"remove {first.path or 'the first'} or {second.path or 'the second'}"
