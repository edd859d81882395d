"""to_keras, to_torch, to_flax: the layer computes the spec, and declares it when it is asked."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, settings

from frameworks.native_contract import check, made_up_weights
from frameworks.native_layers import weights
from frameworks.native_meaning import assert_same
from frameworks.usual_specs import usual_specs
from normscope import NormSpec, Running, SpecError, spec
from normscope.frameworks.flax.native import to_flax
from normscope.frameworks.keras.native import to_keras
from normscope.frameworks.settings import declare
from normscope.frameworks.torch.native import to_torch

pytestmark = [
    pytest.mark.framework,
    # Keras deprecates what a spec with center=False asks for, and says so each time
    pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`"),
]

To = Callable[..., Any]
BIASED, UNBIASED = Running(0.9), Running(0.9, ddof=1)
RMS = {"center": False, "measure": "mean_square"}
BOTH = {"scale": "c", "bias": "c"}

# pattern, shape, fields, and the class that each framework answers with (None: it has none)
TABLE = [
    ("[b] c", (6, 4), {**BOTH, "running": UNBIASED}, None, "BatchNorm1d", None),
    ("[b] c", (6, 4), {**BOTH, "running": BIASED}, "BatchNormalization", None, "BatchNorm"),
    ("[b] c", (6, 4), BOTH, None, "BatchNorm1d", "LayerNorm"),
    ("[b] c [t]", (3, 4, 5), {**BOTH, "running": UNBIASED}, None, "BatchNorm1d", None),
    ("[b] c [h w]", (3, 4, 5, 2), {**BOTH, "running": UNBIASED}, None, "BatchNorm2d", None),
    ("[b] c [h w]", (3, 4, 5, 2), {"running": UNBIASED}, None, "BatchNorm2d", None),
    ("[b] c [h w]", (3, 4, 5, 2), {"scale": "c"}, None, "BatchNorm2d", "LayerNorm"),
    ("[b] c [h w]", (3, 4, 5, 2), {"running": BIASED}, "BatchNormalization", None, "BatchNorm"),
    ("[b h w] c", (3, 5, 2, 4), {**BOTH, "running": BIASED}, "BatchNormalization", None,
     "BatchNorm"),
    ("[b] c [d h w]", (2, 3, 2, 3, 2), BOTH, None, "BatchNorm3d", "LayerNorm"),
    ("b [c]", (4, 5), BOTH, "LayerNormalization", "LayerNorm", "LayerNorm"),
    ("... [c]", (2, 3, 4, 5), {"bias": "c"}, "LayerNormalization", None, "LayerNorm"),
    ("... [c]", (2, 3, 4, 5), {"scale": "c"}, "LayerNormalization", "LayerNorm", "LayerNorm"),
    ("b [h w c]", (2, 3, 4, 5), {"scale": "h w c", "bias": "h w c"}, "LayerNormalization",
     "LayerNorm", "LayerNorm"),
    ("b [h w c]", (2, 3, 4, 5), BOTH, "GroupNormalization", None, "LayerNorm"),
    ("b [c h w]", (2, 5, 3, 4), BOTH, "GroupNormalization", "GroupNorm", "LayerNorm"),
    ("b [c h w]", (2, 5, 3, 4), {"scale": "c"}, "GroupNormalization", "GroupNorm", "LayerNorm"),
    ("b c [h w]", (2, 5, 3, 4), BOTH, "GroupNormalization", "InstanceNorm2d", "InstanceNorm"),
    ("b c [h w]", (2, 5, 3, 4), {}, "LayerNormalization", "InstanceNorm2d", "InstanceNorm"),
    ("b [t] c", (2, 5, 5), {}, "GroupNormalization", None, "InstanceNorm"),
    ("b c [h w]", (2, 5, 3, 4), {"running": UNBIASED}, None, "InstanceNorm2d", None),
    ("b [h w] c", (2, 3, 4, 5), BOTH, "GroupNormalization", None, "InstanceNorm"),
    ("b c [d h w]", (2, 3, 2, 3, 2), {"scale": "c"}, "GroupNormalization", "InstanceNorm3d",
     "InstanceNorm"),
    ("b c [s t u v]", (2, 3, 2, 2, 2, 2), BOTH, "GroupNormalization", "GroupNorm", "InstanceNorm"),
    ("b (g [c]) [h w]", (2, 6, 3, 4), {"scale": "g c", "bias": "g c", "sizes": {"g": 3}},
     "GroupNormalization", "GroupNorm", None),
    ("b (g [c]) [h w]", (2, 6, 3, 4), {"sizes": {"g": 3}}, "GroupNormalization", "GroupNorm", None),
    ("b [h w] (g [c])", (2, 3, 4, 6), {"scale": "g c", "bias": "g c", "sizes": {"g": 3}},
     "GroupNormalization", None, "GroupNorm"),
    ("b ([g] c) [h w]", (2, 6, 3, 4), {"sizes": {"g": 3}}, None, None, None),
    ("b (g [c]) h", (2, 6, 3), {"sizes": {"g": 3}}, None, None, None),
    ("b h w [c]", (2, 3, 4, 5), {**RMS, "scale": "c"}, "RMSNormalization", "RMSNorm", "RMSNorm"),
    ("b h w [c]", (2, 3, 4, 5), RMS, None, "RMSNorm", "RMSNorm"),
    ("b h [w c]", (2, 3, 4, 5), {**RMS, "scale": "w c"}, "RMSNormalization", "RMSNorm", "RMSNorm"),
    ("b [c] h w", (2, 3, 4, 5), {**RMS, "scale": "c"}, None, None, "RMSNorm"),
    ("b [c] h w", (2, 3, 4, 5), BOTH, "LayerNormalization", None, "LayerNorm"),
    ("b [c] h [w]", (2, 3, 4, 5), {"scale": "c w"}, "LayerNormalization", None, "LayerNorm"),
    ("b [c] h [w]", (2, 3, 4, 5), {"scale": "w c"}, None, None, None),
    ("b [c]", (4, 5), {"center": False, "measure": "l2", "eps": 0, "floor": 1e-12},
     "UnitNormalization", None, None),
    ("b [h w c]", (2, 3, 2, 5), {"center": False, "measure": "l2", "eps": 0, "floor": 1e-12},
     "UnitNormalization", None, None),
    ("b [c]", (4, 5), {"center": False, "measure": "l2", "eps": 0, "floor": 1e-6}, None, None,
     None),
    ("b [c]", (4, 5), {"eps_outside": 1e-3}, None, None, None),
    ("b [c]", (4, 5), {"ddof": 1}, None, None, None),
    ("b [c]", (4, 5), {"floor": 1e-3}, None, None, None),
    ("b [c]", (4, 5), {"scale": "c", "scale_shift": 1}, None, None, None),
    ("b [c]", (4, 5), {"scale": ""}, None, None, None),
    ("b [c]", (4, 5), {"measure": "l1", "center": False}, None, None, None),
    ("b [c]", (4, 5), {"scale": "c", "bias": "b"}, None, None, None),
    ("b [c]", (4, 5), {"running": UNBIASED}, None, None, None),
    ("[b] c", (4, 5), {"running": Running(0.9, plus_eps=True)}, None, None, None),
]  # fmt: skip
SAY = [str(row[:3]) for row in TABLE]
# What torch and Flax do does not depend on the backend of Keras: they are asked with one of them.
ALONE = os.environ["KERAS_BACKEND"] != "jax"
TO: dict[str, To] = {"keras": to_keras, **({} if ALONE else {"torch": to_torch, "flax": to_flax})}
EACH = pytest.mark.parametrize("to", TO.values(), ids=TO.keys())


def agree(to: To, stated: NormSpec, shape: tuple[int, ...]) -> Any:
    """Make the layer, and hold it to all that it must do."""
    given = made_up_weights(stated, shape)
    layer = to(stated, shape, weights=given)
    own = weights(layer)
    for key, values in given.items():
        np.testing.assert_allclose(own[key].ravel(), values.ravel(), rtol=1e-6)
    declaration = declare(layer)
    assert_same(declaration.train, stated, shape)
    check(layer, declaration.train, declaration.infer, shape)
    check(layer, stated, stated.inference(), shape)
    return layer


def refuses_on_torch(pattern: str) -> bool:
    """Keras 3.15 on torch would normalize the last axis there; for `b [t] c` GroupNorm helps."""
    return os.environ["KERAS_BACKEND"] == "torch" and pattern == "b [c] h w"


@pytest.mark.parametrize(("pattern", "shape", "given", "keras", "torch", "flax"), TABLE, ids=SAY)
@pytest.mark.parametrize("framework", TO)
def test_table(
    framework: str,
    pattern: str,
    shape: tuple[int, ...],
    given: dict[str, Any],
    keras: str | None,
    torch: str | None,
    flax: str | None,
) -> None:
    to, wanted = TO[framework], {"keras": keras, "torch": torch, "flax": flax}[framework]
    stated = spec(pattern, **given)
    if framework == "keras" and refuses_on_torch(pattern):
        wanted = None
    if wanted is None:
        with pytest.raises(SpecError, match=r"(?s)no layer of .* computes .*\n  .*Norm that"):
            to(stated, shape)
    else:
        assert type(agree(to, stated, shape)).__name__ == wanted


@EACH
@given(st.data())
@settings(max_examples=120)
def test_whatever_is_accepted_is_right(to: To, data: st.DataObject) -> None:
    stated, shape = data.draw(usual_specs())
    set_size = stated.layout(shape).set_size
    assume(set_size is not None and set_size > 1)  # torch refuses to run on single values
    try:
        to(stated, shape)
    except SpecError:
        return
    agree(to, stated, shape)


@EACH
def test_the_search_finds_layers_of_every_kind(to: To) -> None:
    """The test above would pass if everything were refused."""
    found = set()

    @given(usual_specs())
    @settings(max_examples=600, database=None, derandomize=True)
    def collect(drawn: tuple[NormSpec, tuple[int, ...]]) -> None:
        with suppress(SpecError):
            found.add(type(to(*drawn)).__name__)

    collect()
    assert len(found) >= 4, found
