"""Operators of PyTorch that compute each element from those at its own place."""

from __future__ import annotations

from collections.abc import Callable

import torch

from normscope.frameworks.torch.aten.application import Application, Meaning
from normscope.graph.labels import elementwise, labels
from normscope.graph.operators import Role
from normscope.graph.rules import Labels, Opaque

ROLES = {
    Role.SHIFT: "add sub rsub",
    Role.MULTIPLY: "mul neg native_dropout _fused_dropout",
    Role.ROOT: "sqrt",
    Role.POWER: "abs square",
    Role.INVERSE: "reciprocal rsqrt",
    Role.EXPONENTIAL: "exp exp2 expm1 cosh sinh",
    Role.SQUASH: "sigmoid tanh hardsigmoid erf atan arctan special_expit",
    Role.ACTIVATION: "relu relu6 gelu silu elu selu celu leaky_relu softplus hardswish mish "
    "threshold prelu _prelu_kernel log_sigmoid_forward log_sigmoid "
    "hardshrink softshrink hardtanh glu_jvp ",
    Role.COMPARE: "eq ne lt le gt ge isnan isinf isfinite isposinf isneginf signbit logical_and "
    "logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor bitwise_not "
    "__and__ __or__ __xor__ __iand__ __ior__ __ixor__ isclose",
    Role.COPY: "clone _to_copy alias detach lift lift_fresh lift_fresh_copy detach_copy "
    "alias_copy _pin_memory contiguous to positive real resolve_conj resolve_neg",
    Role.POINTWISE: "_conj conj conj_physical _neg_view _conj_physical imag nan_to_num lerp "
    "polar complex fake_quantize_per_tensor_affine_cachemask bernoulli heaviside "
    "floor_divide float_power logit erfinv copysign nextafter "
    "_fake_quantize_learnable_per_tensor_affine "
    "xlogy special_xlog1py special_xlogy quantize_per_tensor dequantize q_scale frexp gcd lcm "
    "ldexp bitwise_left_shift bitwise_right_shift __lshift__ __rshift__ normal",
}


def _plain(role: Role) -> Callable[[Application], Meaning]:
    return lambda op: Meaning(role, spread_labels(op))


def spread_labels(op: Application) -> Labels:
    """All operands are broadcast to the results."""
    return elementwise(op.ranks, op.result.dim(), len(op.results))


def division(op: Application) -> Meaning:
    """Exact division, or one that rounds."""
    exact = op.get("rounding_mode") is None
    return Meaning(Role.DIVIDE if exact else Role.POINTWISE, spread_labels(op))


def power(op: Application) -> Meaning:
    """A number or a tensor to a power that is a number or a tensor."""
    base, exponent = op["self"], op["exponent"]
    rule = spread_labels(op)
    if not isinstance(base, torch.Tensor):
        return Meaning(Role.EXPONENTIAL, rule)
    if isinstance(exponent, torch.Tensor):
        number = op.number("exponent")
        fixed = number is not None and not op.live[number]
        return Meaning(Role.POWER if fixed else Role.POINTWISE, rule)
    if exponent == 0.5:
        return Meaning(Role.ROOT, rule)
    return Meaning(Role.INVERSE if exponent < 0 else Role.POWER, rule)


def limit(op: Application) -> Meaning:
    """A minimum or maximum with another operand, which is a constant or not."""
    constant = sum(op.live) < 2
    return Meaning(Role.LIMIT if constant else Role.POINTWISE, spread_labels(op))


def selection(op: Application) -> Meaning:
    """`where` with tensors or numbers."""
    names = ("condition", "self", "other")
    return _where(op, *(op[name] for name in names))


def masked_fill(op: Application) -> Meaning:
    """The same as `where`, with the operands in another order."""
    return _where(op, op["mask"], op["value"], op["self"])


def _where(op: Application, condition: object, first: object, second: object) -> Meaning:
    dtype = op.result.dtype

    def taken(value: object) -> int | torch.Tensor:
        if isinstance(value, torch.Tensor):
            return next(n for n, t in enumerate(op.operands) if t is value)
        return torch.tensor(value, dtype=dtype)

    takes = tuple(taken(value) for value in (condition, first, second))
    ranks = [op.ranks[t] if isinstance(t, int) else 0 for t in takes]
    return Meaning(
        Role.SELECT,
        elementwise(ranks, op.result.dim()),
        takes=takes,
        run=lambda a: [torch.where(a[0], a[1].to(a[2].device).to(dtype), a[2].to(dtype))],
    )


def copied(op: Application) -> Meaning:
    """`copy_`: nothing of what was there remains."""
    result = op.result
    shape, dtype, device = result.shape, result.dtype, result.device
    source = op.number("src")
    assert source is not None
    rule = elementwise([op.ranks[source]], result.dim())

    def run(arrays: object) -> list[torch.Tensor]:
        return [arrays[0].to(device=device, dtype=dtype).expand(shape).clone()]  # type: ignore[index]

    return Meaning(Role.COPY, rule, takes=(source,), run=run)


def as_real(op: Application) -> Meaning:
    """A complex number as two, along a last axis, or the other way round."""
    rank = max(op.ranks[0], op.result.dim())
    paired = labels(rank, {-1})
    first, last = (paired, paired[:-1]) if op.ranks[0] == rank else (paired[:-1], paired)
    return Meaning(Role.OTHER, Labels({0: first}, (last,)))


def drawn_by_numbers(op: Application) -> Meaning:
    """How many random numbers are drawn depends on the operands, and so does what others get."""
    if op.get("training", True):
        return Meaning(Role.ACTIVATION, Opaque("how much is drawn depends on its operands"))
    return Meaning(Role.ACTIVATION, spread_labels(op))


RULES: dict[str, Callable[[Application], Meaning]] = {
    **{name: _plain(role) for role, names in ROLES.items() for name in names.split()},
    "div": division,
    "true_divide": division,
    "pow": power,
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max"), limit),
    **dict.fromkeys(("maximum", "minimum", "fmax", "fmin"), limit),
    "where": selection,
    "masked_fill": masked_fill,
    **dict.fromkeys(("rrelu_with_noise", "poisson", "binomial"), drawn_by_numbers),
    "copy": copied,
    "view_as_real": as_real,
    "view_as_complex": as_real,
}


def pointwise(op: Application) -> Meaning:
    """An operator that PyTorch itself says computes single elements."""
    return Meaning(Role.POINTWISE, spread_labels(op))
