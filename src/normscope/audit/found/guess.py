"""A spec for a site too large to be asked many times: its sets by one probe, its epsilon by two."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.identify.subject.subject import Subject
from normscope.notation.axis_roles import axis_names
from normscope.notation.spec import Measure, NormSpec


def guesses(subject: Subject, training: bool) -> Iterator[NormSpec]:
    """Specs that may be that of a site; each is still to be checked."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal(subject.shape)
    y = subject(x, training)
    other = x.copy()
    other[(0,) * x.ndim] += 3.0
    changed = subject(other, training) != y
    names, parts, sizes = axis_names(subject.shape, None), [], {}
    for axis, (name, length) in enumerate(zip(names, subject.shape, strict=True)):
        seen = int(changed.any(axis=tuple(n for n in range(x.ndim) if n != axis)).sum())
        if seen == length and length > 1:
            parts.append(f"[{name}]")
        elif seen <= 1:
            parts.append(name)
        elif length % seen == 0:
            sizes["g"] = length // seen
            parts.append(f"(g [{name}])")
        else:
            return
    pattern = " ".join(parts).replace("] [", " ")
    along = " ".join(f"g {name}" if "(g" in parts[1] else name for name in names[1:2])
    small = 1e-3 * x
    share = np.abs(subject(small, training)).mean() / np.abs(y).mean()
    eps = float(np.var(small)) * (1 / share**2 - 1) if 0 < share < 1 else 0.0
    eps = float(f"{eps:.0e}") if eps > 1e-12 else 0.0
    for measure, center in ((Measure.VARIANCE, True), (Measure.MEAN_SQUARE, False)):
        for learned in (None, along):
            yield NormSpec(
                pattern,
                sizes,
                center,
                measure,
                eps=eps,
                scale=learned,
                bias=learned if center else None,
            )
