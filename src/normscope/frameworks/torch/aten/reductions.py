"""Operators of PyTorch that compute along axes: statistics, extremes, running sums, softmax."""

from __future__ import annotations

from collections.abc import Callable

from normscope.frameworks.torch.aten.application import Application, Meaning
from normscope.frameworks.torch.aten.elementwise import limit
from normscope.graph.labels import along, labels, reduction, scan
from normscope.graph.operators import Role
from normscope.graph.rules import Labels

ROLES = {
    Role.STATISTIC: "sum mean var std var_mean std_mean norm linalg_vector_norm nansum nanmean "
    "trace linalg_matrix_norm frobenius_norm",
    Role.EXTREME: "amax amin max min median nanmedian aminmax mode kthvalue",
    Role.OTHER: "prod logsumexp any all argmax argmin count_nonzero hash_tensor",
}


def axes_of(op: Application) -> set[int]:
    """The axes that are reduced; all, where none is named."""
    rank = op.ranks[0]
    axes = op.get("dim", op.get("axis"))
    if axes is None or axes == []:
        return set(range(rank))
    return {axis % max(rank, 1) for axis in ([axes] if isinstance(axes, int) else axes)}


def _reduced(role: Role) -> Callable[[Application], Meaning]:
    def meaning(op: Application) -> Meaning:
        if len(op.operands) > 1:  # max(a, b)
            return limit(op)
        keeps = op.result.dim() == op.ranks[0]
        return Meaning(role, reduction(op.ranks[0], axes_of(op), keeps, len(op.results)))

    return meaning


def reduced(op: Application) -> Meaning:
    """An operator that PyTorch itself says reduces axes."""
    return _reduced(Role.OTHER)(op)


def _scanned(role: Role) -> Callable[[Application], Meaning]:
    return lambda op: Meaning(role, scan(op.ranks[0], op["dim"], results=len(op.results)))


def _along(role: Role) -> Callable[[Application], Meaning]:
    def meaning(op: Application) -> Meaning:
        axes = {op.get("dim", -1)}
        return Meaning(role, along(op.ranks[0], axes, len(op.results)))

    return meaning


def transformed(op: Application) -> Meaning:
    """A Fourier transform along some axes."""
    return Meaning(Role.OTHER, along(op.ranks[0], op["dim"], len(op.results)))


def histogram(op: Application) -> Meaning:
    """Where each value stands among sorted ones; these have the same leading axes, or are one."""
    names = ("sorted_sequence", "self")
    numbers = {name: op.number(name) for name in names}
    found: dict[int, tuple[str | None, ...]] = {}
    every = labels(op.result.dim())
    if numbers["self"] is not None:
        found[numbers["self"]] = every
    sequence = numbers["sorted_sequence"]
    if sequence is not None:
        rank = op.ranks[sequence]
        found[sequence] = (None,) if rank == 1 else (*every[:-1], None)
    return Meaning(Role.OTHER, Labels(found, (every,)))


def buckets(op: Application) -> Meaning:
    """Each value among boundaries that are the same for all."""
    every = labels(op.result.dim())
    found: dict[int, tuple[str | None, ...]] = {}
    for name, dims in (("self", every), ("boundaries", (None,))):
        number = op.number(name)
        if number is not None:
            found[number] = dims
    return Meaning(Role.POINTWISE, Labels(found, (every,)))


def drawn_from(op: Application) -> Meaning:
    """Classes drawn by weights along the last axis."""
    return Meaning(Role.OTHER, along(op.ranks[0], {-1}))


def crossed(op: Application) -> Meaning:
    """A product of vectors of three along an axis."""
    rank = op.result.dim()
    return Meaning(Role.PRODUCT, along(rank, {op["dim"]}, operands=2))


def segmented(op: Application) -> Meaning:
    """Parts along an axis, whose lengths other operands say."""
    axes = {op["axis"] % op.ranks[0]} | set(range(op["axis"] % op.ranks[0]))
    own = labels(op.ranks[0], axes)
    rest: dict[int, tuple[str | None, ...]] = {n: (None,) * rank for n, rank in enumerate(op.ranks)}
    return Meaning(Role.OTHER, Labels({**rest, 0: own}, (own,)))


def renormed(op: Application) -> Meaning:
    """Rows that are looked up are made shorter; which ones, the indices choose."""
    operands: dict[int, tuple[str | None, ...]] = {0: ("a", None), 1: (None,) * op.ranks[1]}
    return Meaning(Role.OTHER, Labels(operands, (("a", None),), chooses=frozenset({1})))


def among(op: Application) -> Meaning:
    """Whether each value is one of some others."""
    found: dict[int, tuple[str | None, ...]] = {}
    every = labels(op.result.dim())
    for name, value in op.arguments.items():
        number = op.number(name)
        if number is not None:
            found[number] = every if name.startswith("element") else (None,) * value.dim()
    return Meaning(Role.COMPARE, Labels(found, (every,)))


def shortened(op: Application) -> Meaning:
    """Slices along an axis are made shorter where they are longer than a limit."""
    rank = op.ranks[0]
    return Meaning(Role.OTHER, along(rank, set(range(rank)) - {op["dim"] % rank}))


def counted(op: Application) -> Meaning:
    """How many values of all there are in each of some ranges."""
    operands: dict[int, tuple[str | None, ...]] = {n: (None,) * r for n, r in enumerate(op.ranks)}
    return Meaning(Role.OTHER, Labels(operands, tuple((None,) * r.dim() for r in op.results)))


def pairs(op: Application) -> Meaning:
    """Something of all pairs of rows."""
    return Meaning(Role.OTHER, Labels({0: (None, None)}, ((None,),)))


RULES: dict[str, Callable[[Application], Meaning]] = {
    **{name: _reduced(role) for role, names in ROLES.items() for name in names.split()},
    "cumsum": _scanned(Role.RUNNING),
    **{n: _scanned(Role.OTHER) for n in ("cumprod", "logcumsumexp", "cummax", "cummin")},
    **{n: _scanned(Role.OTHER) for n in ("_cummax_helper", "_cummin_helper")},
    **{n: _along(Role.SOFTMAX) for n in ("_softmax", "softmax", "_safe_softmax")},
    **{n: _along(Role.SOFTMAX) for n in ("_log_softmax", "log_softmax")},
    **{n: _along(Role.ORDER) for n in ("sort", "topk", "argsort")},
    "glu": _along(Role.OTHER),
    **dict.fromkeys(("_fft_r2c", "_fft_c2c", "_fft_c2r"), transformed),
    "searchsorted": histogram,
    "multinomial": drawn_from,
    "linalg_cross": crossed,
    "segment_reduce": segmented,
    "embedding_renorm": renormed,
    "_pdist_forward": pairs,
    "isin": among,
    "renorm": shortened,
    "histc": counted,
    "bucketize": buckets,
}
