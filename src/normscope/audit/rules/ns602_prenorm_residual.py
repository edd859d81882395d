"""NS602 prenorm-residual: the skip of a block that normalizes first carries norm(x), not x.

What it finds:
    A block of a model that normalizes first (pre-norm) and yet adds its branch to the normalized
    value: h = norm(x), h + f(h) in the place of x + f(norm(x)).

Why it matters:
    It is another architecture: the stream is cut at that block, gradients no longer reach the
    layers below by the skip, and weights of the intended model do not fit. Fixing it later breaks
    checkpoints.

How it is found:
    From the graph: the skip of a residual addition is the output of a normalization, and the branch
    begins with the same output. It is accused where the sum is carried on as it is by a block that
    does normalize first, or where one layer begins with the norm and ends with such a sum.

Measured:
    How many of the residual additions of the model carry x itself, and how many carry norm(x).

Known limits:
    Blocks that normalize last (post-norm), norm(x + f(x)), and norms of embeddings or patches
    before the first block are healthy, and left alone. Where a file tells no layers, a model all of
    whose blocks are so is not told from one that normalizes last.

Use instead:
    x = x + f(norm(x))

References:
    pytorch#61165, faster-trajectory-transformer#3, burn#1056, xformers PR 233, ModernBERT#243
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph
from normscope.audit.rule import Rule, Symptom
from normscope.audit.surroundings import Addition


class PrenormResidual(Rule):
    code, name, since = "NS602", "prenorm-residual", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.LEARNING, Symptom.PORT)

    def check_model(self, graph: ModelGraph) -> Iterator[Finding]:
        additions = graph.residuals.additions
        healthy = sum(bool(one.begins) for one in additions)
        accused = {n: one.skip for n, one in enumerate(additions) if _is_cut(additions, n)}
        for number in dict.fromkeys(skip for skip in accused.values() if skip is not None):
            site = graph.sites[number]
            others = f"; {healthy} other residual additions carry x" if healthy else ""
            block = next(additions[n].block for n, skip in accused.items() if skip == number)
            of = f" of {block}" if block else ""
            yield self.finding(
                site,
                f"the residual{of} carries norm(x), not x: what is added to the branch is the "
                f"output of the normalization with which the branch begins{others}",
                fix="keep x for the sum: x = x + f(norm(x))",
                evidence={"block": block, "carry_x": healthy, "carry_norm": len(accused)},
            )


def _is_cut(additions: tuple[Addition, ...], number: int) -> bool:
    """Whether an addition of a block that normalizes first carries what is normalized."""
    one = additions[number]
    if one.skip is None or one.begins or not one.learned:
        return False
    after = [other for other in additions if other.before == number and other.begins]
    if after and (one.resumes is not None or (one.enters and _in_one_layer(one, after))):
        return True
    if not one.block:
        return False
    before = None if one.resumes is None else additions[one.resumes]
    if before is not None and before.begins and before.path == one.block and one.leaves:
        return True
    return _chain(additions, number)


def _in_one_layer(one: Addition, after: list[Addition]) -> bool:
    """Whether the norm and the next sum belong to the layer that adds, not to what is around it."""
    return one.path == one.block and (one.leaves or any(other.path == one.path for other in after))


def _chain(additions: tuple[Addition, ...], number: int) -> bool:
    """Whether all sums of a layer, from what it is given to what it gives, are of that kind."""
    block = additions[number].block
    chain = [one for one in additions if one.block == block]
    numbers = [n for n, one in enumerate(additions) if one.block == block]
    linked = all(one.resumes == before for one, before in zip(chain[1:], numbers[:-1], strict=True))
    cut = all(not one.begins and one.learned and one.path == block for one in chain)
    return linked and cut and chain[0].enters and chain[-1].leaves
