"""What the primitives of JAX are: their roles, and what they do with their elements.

A primitive that is not here is opaque. Those that run functions are in `jaxpr` and `running`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.frameworks.jax import moves, products
from normscope.frameworks.jax.indexing import (
    Indexing,
    gathering,
    gathering_labels,
    scattering,
    scattering_labels,
)
from normscope.frameworks.jax.meaning import Known, Meaning
from normscope.graph import labels
from normscope.graph.operators import Role, Value
from normscope.graph.rules import Dims, Fixed, Labels, Move, Opaque, Rule, Scatter, Window

_DRAWS = ("random_bits", "random_gamma", "rng_bit_generator", "rng_uniform")
"""Primitives that draw random numbers, for which each call may be given another key."""


def meaning(equation: Any, operands: Sequence[Value], known: Known) -> Meaning:
    """What an equation means, whose operands are these."""
    name = equation.primitive.name
    if not operands or (name in _DRAWS and not any(value.live for value in operands)):
        return Meaning(Role.OTHER, Fixed(drawn=name in _DRAWS))
    if name in ELEMENTWISE:
        return Meaning(_role(name, equation, operands, known), _elementwise(equation))
    if name in moves.SAME:
        return Meaning(Role.COPY if len(operands) == 1 else Role.MOVE, moves.same(len(operands)))
    if name in moves.MOVES:
        return Meaning(Role.MOVE, moves.MOVES[name](equation))
    if name in _RULES:
        found = _RULES[name](equation, operands, known)
        return found if isinstance(found, Meaning) else Meaning(Role.OTHER, found)
    return Meaning(Role.OTHER, Opaque())


# --- of single elements ---------------------------------------------------------------------------

_ROLES: Mapping[Role, str] = {
    Role.SHIFT: "add sub add_any",
    Role.MULTIPLY: "mul",
    Role.DIVIDE: "div",
    Role.ROOT: "sqrt",
    Role.POWER: "square abs cbrt integer_pow pow",
    Role.INVERSE: "rsqrt reciprocal",
    Role.LIMIT: "max min",
    Role.EXPONENTIAL: "exp exp2 expm1",
    Role.SQUASH: "tanh logistic erf atan erfc",
    Role.SELECT: "select_n",
    Role.COMPARE: "eq ne lt le gt ge eq_to lt_to le_to and or not xor is_finite",
    Role.COPY: "convert_element_type copy copy_p stop_gradient reduce_precision",
    Role.POINTWISE: "neg sign log log1p sin cos tan sinh cosh asin acos asinh acosh atanh atan2 "
    "floor ceil round rem nextafter erf_inv lgamma digamma polygamma igamma igammac igamma_grad_a "
    "regularized_incomplete_beta random_gamma_grad bessel_i0e bessel_i1e zeta "
    "shift_left shift_right_logical shift_right_arithmetic population_count clz mulhi "
    "real imag conj complex threefry2x32 random_seed random_fold_in random_clone",
}

ELEMENTWISE = {name: role for role, names in _ROLES.items() for name in names.split()}


def _elementwise(equation: Any) -> Labels:
    ranks = [len(atom.aval.shape) for atom in equation.invars]
    results = equation.outvars
    return labels.elementwise(ranks, len(results[0].aval.shape), len(results))


def _role(name: str, equation: Any, operands: Sequence[Value], known: Known) -> Role:
    if name == "mul" and operands[0] is operands[1]:
        return Role.POWER
    if name == "integer_pow":
        return Role.INVERSE if equation.params["y"] < 0 else Role.POWER
    if name == "pow":
        exponent = None if operands[1].size != 1 else known(operands[1])
        if exponent is None:
            return Role.POINTWISE
        power = float(exponent.reshape(-1)[0])
        return Role.INVERSE if power < 0 else Role.ROOT if power == 0.5 else Role.POWER
    if name in ("max", "min") and all(value.live for value in operands):
        return Role.POINTWISE
    if name == "select_n" and len(operands) != 3:
        return Role.POINTWISE
    return ELEMENTWISE[name]


def _clamp(equation: Any, operands: Sequence[Value], known: Known) -> Meaning:
    """What is limited comes first, as in other frameworks."""
    low, x, high = (len(atom.aval.shape) for atom in equation.invars)
    return Meaning(Role.LIMIT, labels.elementwise([x, low, high], x), (1, 0, 2))


# --- of several elements --------------------------------------------------------------------------


def _reduction(role: Role) -> Callable[[Any, Sequence[Value], Known], Meaning]:
    def found(equation: Any, operands: Sequence[Value], known: Known) -> Meaning:
        rank = len(equation.invars[0].aval.shape)
        return Meaning(role, labels.reduction(rank, equation.params["axes"], keeps=False))

    return found


def _general_reduction(equation: Any, operands: Sequence[Value], known: Known) -> Rule:
    """`lax.reduce` with any function: operands, then as many initial values."""
    count = len(equation.outvars)
    rank = len(equation.invars[0].aval.shape)
    dims = labels.labels(rank, equation.params["dimensions"])
    kept = tuple(label for label in dims if label)
    return Labels(
        {n: dims if n < count else () for n in range(len(equation.invars))}, (kept,) * count
    )


def _cumulative(role: Role) -> Callable[[Any, Sequence[Value], Known], Meaning]:
    def found(equation: Any, operands: Sequence[Value], known: Known) -> Meaning:
        rank = len(equation.invars[0].aval.shape)
        return Meaning(role, labels.scan(rank, equation.params["axis"], equation.params["reverse"]))

    return found


def _ordered(equation: Any, operands: Sequence[Value], known: Known) -> Meaning:
    rank = len(equation.invars[0].aval.shape)
    names = ("axis", "dimension", "reduction_dimension")
    axis = next(equation.params[name] for name in names if name in equation.params)
    rule = labels.along(rank, {axis}, len(equation.outvars), len(equation.invars))
    return Meaning(Role.ORDER, rule)


def _window(role: Role) -> Callable[[Any, Sequence[Value], Known], Meaning]:
    def found(equation: Any, operands: Sequence[Value], known: Known) -> Meaning:
        rank = len(equation.outvars[0].aval.shape)
        windows = dict(enumerate(_windows(equation.params, rank)))
        rule = labels.pooling(
            rank, {a: w for a, w in windows.items() if w != Window(1)}, len(equation.outvars)
        )
        arrays = len(equation.outvars) if "jaxpr" in equation.params else len(equation.invars)
        operand = {n: rule.operands[0] if n < arrays else () for n in range(len(equation.invars))}
        return Meaning(role, Labels(operand, rule.results, rule.relations))

    return found


def _windows(params: Mapping[str, Any], rank: int) -> list[Window]:
    ones = (1,) * rank
    return [
        Window(int(size), int(stride), int(dilation), int(padding[0]), int(spread))
        for size, stride, dilation, padding, spread in zip(
            params["window_dimensions"],
            params["window_strides"],
            params.get("window_dilation", ones),
            params["padding"],
            params.get("base_dilation", ones),
            strict=True,
        )
    ]


def _max_pool_gradient(equation: Any, operands: Sequence[Value], known: Known) -> Rule:
    """`select_and_scatter_add`: of each window, the gradient goes to the largest element."""
    sizes = equation.params["window_dimensions"]
    dims = labels.labels(len(sizes), {axis for axis, size in enumerate(sizes) if size != 1})
    return Labels({0: dims, 1: dims}, (dims,))


# --- with indices ---------------------------------------------------------------------------------


def _gather(equation: Any, operands: Sequence[Value], known: Known) -> Meaning:
    how = gathering(equation)
    columns = _columns(operands[1], how, known)

    def replay(arrays: Sequence[NDArray[Any]]) -> list[NDArray[np.int64]]:
        return [moves.taken(arrays[0], how.places(arrays[1]))]

    otherwise = gathering_labels(how, columns)
    if operands[1].live and not operands[0].live:  # an embedding
        channels = how.window[0] if len(how.window) == 1 else None
        return Meaning(Role.PRODUCT, otherwise, channel_axis=channels)
    return Meaning(Role.MOVE, Move((0,), replay, otherwise))


def _scatter(adds: bool) -> Callable[[Any, Sequence[Value], Known], Meaning]:
    def found(equation: Any, operands: Sequence[Value], known: Known) -> Meaning:
        if not adds and equation.params["update_jaxpr"] is not None:  # `lax.scatter_apply`
            return Meaning(Role.OTHER, Opaque())
        how = scattering(equation)

        def places(arrays: Sequence[NDArray[Any] | None]) -> NDArray[np.int64]:
            assert arrays[1] is not None
            return how.places(arrays[1])

        otherwise = scattering_labels(how, _columns(operands[1], how, known))
        sums = equation.primitive.name == "scatter-add" and operands[2].size > operands[0].size
        return Meaning(
            Role.STATISTIC if sums else Role.MOVE if not adds else Role.OTHER,
            Scatter(0, 2, places, adds, otherwise),
        )

    return found


def _columns(indices: Value, how: Indexing, known: Known) -> list[int | None]:
    """For each number of an index, the axis of the indices along which it just counts.

    `x[arange(n), i]` gathers at indices of which the first number is known, and the second not.
    """
    node = indices.node
    parts: Sequence[Value] = ()
    if not indices.live:
        return [None] * len(how.indexed)
    if node is not None and node.operator == "concatenate":
        parts = node.operands
    if len(parts) != len(how.indexed) or any(part.shape[-1:] != (1,) for part in parts):
        return [None] * len(how.indexed)
    found: list[int | None] = []
    for part, axis in zip(parts, how.indexed, strict=True):
        numbers = None if part.live else known(part)
        found.append(None if numbers is None else _counts(numbers[..., 0], how.shape[axis]))
    return found


def _counts(numbers: NDArray[Any], length: int) -> int | None:
    for axis, own in enumerate(numbers.shape):
        counted = np.arange(own).reshape([-1 if i == axis else 1 for i in range(numbers.ndim)])
        if own == length and bool((numbers == counted).all()):
            return axis
    return None


# --- linear algebra, transforms, random numbers ---------------------------------------------------


def _collective(role: Role) -> Callable[[Any, Sequence[Value], Known], Meaning]:
    """Over devices that are not seen; under `vmap`, over axes of the operands."""

    def found(equation: Any, operands: Sequence[Value], known: Known) -> Meaning:
        axes = equation.params["axes"]
        if not all(isinstance(axis, int) for axis in axes) or len(operands) != 1:
            return Meaning(Role.OTHER, Opaque())
        return Meaning(role, labels.reduction(len(operands[0].shape), axes, keeps=False))

    return found


def _bits(equation: Any, operands: Sequence[Value], known: Known) -> Rule:
    """The bits of numbers as those of another dtype: wider or narrower ones have one axis more."""
    return _batched(equation, min(len(atom.aval.shape) for atom in _all(equation)))


def _all(equation: Any) -> list[Any]:
    return [*equation.invars, *equation.outvars]


def _leading(dropped: int) -> Callable[[Any, Sequence[Value], Known], Rule]:
    """Leading axes are kept apart; along the last ones everything may be seen."""

    def found(equation: Any, operands: Sequence[Value], known: Known) -> Rule:
        batch = len(equation.invars[0].aval.shape) - dropped
        return _batched(equation, batch)

    return found


def _gamma(equation: Any, operands: Sequence[Value], known: Known) -> Rule:
    """Each element is drawn on its own; there may be a key for each of some leading axes."""
    keys, rank = (len(atom.aval.shape) for atom in equation.invars)
    dims = labels.labels(rank)
    return Labels({0: dims[:keys], 1: dims}, (dims,))


def _fft(equation: Any, operands: Sequence[Value], known: Known) -> Rule:
    rank = len(equation.invars[0].aval.shape)
    return _batched(equation, rank - len(equation.params["fft_lengths"]))


def _batched(equation: Any, batch: int) -> Rule:
    def dims(atom: Any) -> Dims:
        rank = len(atom.aval.shape)
        return (*labels.labels(batch), *(None,) * (rank - batch))

    if any(len(atom.aval.shape) < batch for atom in _all(equation)):
        return Opaque()
    return Labels(
        {number: dims(atom) for number, atom in enumerate(equation.invars)},
        tuple(dims(atom) for atom in equation.outvars),
    )


_RULES: Mapping[str, Callable[[Any, Sequence[Value], Known], Meaning | Rule]] = {
    **dict.fromkeys(("psum", "psum_invariant"), _collective(Role.STATISTIC)),
    **dict.fromkeys(("pmax", "pmin"), _collective(Role.EXTREME)),
    "bitcast_convert_type": _bits,
    "clamp": _clamp,
    "reduce_sum": _reduction(Role.STATISTIC),
    "reduce_prod": _reduction(Role.STATISTIC),
    "reduce_max": _reduction(Role.EXTREME),
    "reduce_min": _reduction(Role.EXTREME),
    **dict.fromkeys(
        ("reduce_and", "reduce_or", "reduce_xor", "argmax", "argmin"), _reduction(Role.OTHER)
    ),
    "reduce": _general_reduction,
    "cumsum": _cumulative(Role.RUNNING),
    **dict.fromkeys(("cumprod", "cummax", "cummin", "cumlogsumexp"), _cumulative(Role.OTHER)),
    **dict.fromkeys(("sort", "top_k", "approx_top_k"), _ordered),
    "reduce_window_sum": _window(Role.RUNNING),
    **dict.fromkeys(
        ("reduce_window", "reduce_window_max", "reduce_window_min", "select_and_gather_add"),
        _window(Role.OTHER),
    ),
    "select_and_scatter_add": _max_pool_gradient,
    "dot_general": products.dot,
    "ragged_dot_general": products.ragged_dot,
    "conv_general_dilated": products.convolution,
    "gather": _gather,
    "scatter": _scatter(adds=False),
    **dict.fromkeys(
        ("scatter-add", "scatter-sub", "scatter-mul", "scatter-min", "scatter-max"),
        _scatter(adds=True),
    ),
    **dict.fromkeys(
        (
            "cholesky",
            "eig",
            "eigh",
            "geqrf",
            "hessenberg",
            "householder_product",
            "lu",
            "qr",
            "schur",
            "svd",
            "symmetric_product",
            "triangular_solve",
            "tridiagonal",
        ),
        _leading(2),
    ),
    **dict.fromkeys(("lu_pivots_to_permutation", "tridiagonal_solve", "random_wrap"), _leading(1)),
    **dict.fromkeys(("random_bits", "random_split", "random_unwrap"), _leading(0)),
    "fft": _fft,
    "random_gamma": _gamma,
}

RULES = frozenset((*ELEMENTWISE, *_RULES))
"""The primitives that are known here; those that only move elements are in `moves`."""
