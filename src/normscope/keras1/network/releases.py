"""Which release of Keras 1 a file is of: what is assumed where it does not tell, in words.

What depends on the release is `BatchNormalization`, above all what mode 0 stores as `running_std`:
a deviation before 1.0.7, a variance since. Nothing here imports a framework.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from normscope.frameworks.keras1.presets import LATEST, Divisor, facts_of

Array: TypeAlias = npt.NDArray[Any]

OLD_EPSILON, OLD_MOMENTUM = 1e-6, 0.9  # the defaults of 1.0.0 to 1.0.6
OF_DEVIATIONS, OF_VARIANCES = "1.0.5", "1.0.8"
"""Releases that stored the one and the other with either backend, to name in a message."""

SAME = 1e-3  # factors that are nearer to 1 change no prediction

DEVIATIONS = "Keras 1.0.0 to 1.0.5 (and 1.0.6 on Theano)"
VARIANCES = "Keras 1.0.7 to 1.2.2 (and 1.0.6 on TensorFlow)"


@dataclass(frozen=True)
class StoredNorm:
    """A `BatchNormalization` of a file or a model; `running_std` is None where no file gave it."""

    name: str
    mode: float
    epsilon: float
    running_std: Array | None = None

    @property
    def refutes_deviation(self) -> bool:
        """Whether a value is less than any deviation sqrt(v + e), or an average of 1 and such."""
        if self.mode != 0 or self.running_std is None or not self.running_std.size:
            return False
        least = math.sqrt(min(self.epsilon, OLD_EPSILON))
        return bool(np.min(self.running_std) < 0.999 * least)


def release_by_configs(configs: Iterable[Mapping[str, Any]]) -> tuple[str, bool]:
    """The release of a file that names none, by the configs of its normalizations.

    Regularizers stand in them since 1.1.0, and from there on all releases compute the same. Without
    them 1.2.2 is assumed, unless all are as 1.0.0 to 1.0.3 wrote them: with the defaults of the
    time. From 1.0.4 on `to_json` named its release.

    Returns:
        A release, and whether that is known, as far as the formula depends on it.

    >>> release_by_configs([{"mode": 0, "axis": -1, "epsilon": 1e-06, "momentum": 0.9}])
    ('1.0.3', False)
    >>> release_by_configs([{"mode": 0, "epsilon": 0.001, "gamma_regularizer": None}])
    ('1.2.2', True)
    """
    found = list(configs)
    if any("gamma_regularizer" in config for config in found):
        return LATEST, True
    old = all(
        config.get("epsilon") == OLD_EPSILON
        and config.get("momentum") == OLD_MOMENTUM
        and {"mode", "axis"} <= config.keys()
        for config in found
    )
    if not found or not old:
        return LATEST, False
    return OF_DEVIATIONS if any(config["mode"] == 2 for config in found) else "1.0.3", False


def assumptions(
    where: str,
    norms: Sequence[StoredNorm],
    release: str,
    backend: str,
    *,
    release_told: bool,
    backend_told: bool,
) -> Iterator[str]:
    """What was assumed of a file, how the numbers would differ otherwise, and what to write.

    Args:
        where: the file, as the message names it.
        norms: its normalizations.
        release, backend: those that are taken for it.
        release_told, backend_told: whether the file or the user said so.

    >>> norm = StoredNorm("bn", 0, 1e-6, np.array([0.04, 25.0]))
    >>> told = {"release_told": False, "backend_told": True}
    >>> print(*assumptions("w.h5", [norm], "1.2.2", "theano", **told))  # doctest: +ELLIPSIS
    w.h5: nothing tells which release of Keras 1 wrote it; 1.2.2 is assumed, so the running_std...
    """
    if not norms:
        return
    facts = facts_of(release)
    divisor = facts.divisor(backend)
    deviation = divisor is Divisor.DEVIATION
    refuting = [norm.name for norm in norms if norm.refutes_deviation]
    if deviation and refuting:
        yield (
            f"{where}: the running_std of {_listed(refuting)} holds values that are less than "
            f"sqrt(epsilon), which Keras {release} cannot have stored as a deviation; if it is a "
            f"variance, write release={OF_VARIANCES!r} (--release {OF_VARIANCES})"
        )
    if not release_told:
        told = _by_release(norms, release, deviation, bool(refuting))
        if told:
            other = OF_VARIANCES if deviation else OF_DEVIATIONS
            yield (
                f"{where}: nothing tells which release of Keras 1 wrote it; {release} is assumed"
                f"{_because(release)}, so {'; '.join(told)}. Say which release it was, such as "
                f"release={other!r} (--release {other})" + _by_data(norms)
            )
    elif not backend_told and facts.tensorflow is not facts.theano:
        concerned = [norm for norm in norms if norm.mode != 1]
        told = list(_by_backend(concerned, facts.theano, refuted=bool(refuting)))
        if told:
            yield (
                f"{where}: nothing tells which backend wrote it, and Keras {release} normalized "
                f"with each in another way; {backend!r} is assumed, so {'; '.join(told)}. Write "
                f"backend='theano' or backend='tensorflow' (--backend){_to_come(norms)}"
            )


def _by_release(
    norms: Sequence[StoredNorm], release: str, deviation: bool, refuted: bool
) -> list[str]:
    """What another release would have computed, by mode."""
    said = []
    feature_wise = [norm for norm in norms if _matters(norm, deviation)]
    if feature_wise and not (refuted and not deviation):
        said.append(_reading(feature_wise, deviation))
    if any(norm.mode == 1 for norm in norms):
        plain, both = "sqrt(v) + epsilon", "sqrt(v + epsilon) + epsilon"
        ours, theirs = (both, plain) if facts_of(release).eps_inside_mode_1 else (plain, both)
        since = "from 1.0.5 on" if theirs == both else "up to 1.0.4"
        said.append(
            f"mode 1 divides by {ours}; {since} it was {theirs}, which differs where a set is "
            "nearly constant"
        )
    if any(norm.mode == 2 for norm in norms):
        plain, both = "sqrt(v + epsilon)", "sqrt(v + epsilon) + epsilon"
        ours, theirs = (both, plain) if deviation else (plain, both)
        who = VARIANCES if deviation else DEVIATIONS
        said.append(f"mode 2 divides by {ours}; in {who} it was {theirs}")
    return said


def _by_backend(norms: Sequence[StoredNorm], on_theano: Divisor, *, refuted: bool) -> Iterator[str]:
    if not norms:
        return
    if on_theano is Divisor.OUTSIDE:
        yield (
            "the divisor is sqrt(v + epsilon); on Theano it was sqrt(v) + epsilon, which differs "
            "where the variance is not far above epsilon"
        )
        return
    feature_wise = [norm for norm in norms if _matters(norm, deviation=False)]
    if feature_wise and not refuted:
        yield _reading(feature_wise, deviation=False)
    if any(norm.mode == 2 for norm in norms):
        yield ("mode 2 divides by sqrt(v + epsilon); on Theano it was sqrt(v + epsilon) + epsilon")


def _reading(norms: Sequence[StoredNorm], deviation: bool) -> str:
    """How `running_std` is read, who stored something else, and what the outputs would be then."""
    stored, other = ("deviation", "variance") if deviation else ("variance", "deviation")
    who = VARIANCES if deviation else DEVIATIONS
    read = f"the running_std of {_listed([norm.name for norm in norms])} is read as a {stored}"
    factors = [_factors(norm, deviation) for norm in norms if norm.running_std is not None]
    known = np.concatenate(factors) if factors else np.zeros(0)
    if known.size:
        then = f"{_number(known.min())} to {_number(known.max())} times as large"
    else:
        then = f"{'multiplied' if deviation else 'divided'} by sqrt(running_std)"
    return (
        f"{read}; {who} stored the {other} under that name, and if it is one the outputs before "
        f"gamma and beta should be {then}"
    )


def _matters(norm: StoredNorm, deviation: bool) -> bool:
    """Whether the outputs depend on how `running_std` is read; not while it is still 1."""
    if norm.mode != 0 or norm.running_std is None:
        return norm.mode == 0
    return bool(np.any(np.abs(_factors(norm, deviation) - 1) > SAME))


def _factors(norm: StoredNorm, deviation: bool) -> Array:
    """The right outputs over ours, if the other reading is the right one."""
    assert norm.running_std is not None
    stored = np.maximum(norm.running_std.astype(np.float64), 0)
    by_variance, by_deviation = np.sqrt(stored + norm.epsilon), stored + norm.epsilon
    with np.errstate(divide="ignore", invalid="ignore"):
        factors: Array = (by_deviation / by_variance) ** (1 if deviation else -1)
    return factors[np.isfinite(factors)]


def _because(release: str) -> str:
    if release == LATEST:
        return ""
    return (
        f" (epsilon {OLD_EPSILON:g} and momentum {OLD_MOMENTUM:g} are the defaults of 1.0.0 to "
        "1.0.6, and since 1.0.4 model.to_json() names the release)"
    )


def _by_data(norms: Sequence[StoredNorm]) -> str:
    if not any(norm.mode == 0 for norm in norms):
        return ""
    return (
        "; inputs like those of the training tell them apart: "
        "normscope.keras1.compare_running_std(model, x), or convert --data"
    )


def _to_come(norms: Sequence[StoredNorm]) -> str:
    if any(norm.running_std is not None for norm in norms):
        return ""
    return "; load_weights learns it from a file whose weights have names"


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:.0f}"


def _listed(names: Sequence[str]) -> str:
    if len(names) > 3:
        return f"{names[0]!r} and {len(names) - 1} more"
    return ", ".join(map(repr, names))
