"""The code with which it all began, as it was written for Keras 1: it runs, on every backend."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from normscope.errors import ContractWarning

SNIPPET = """
x = Input(shape=(128, 56, 56))
inp = x
c = x
for _ in range(8):
    c = Convolution2D(128, 3, 3, border_mode='same', init='he_normal')(c)
    c = LeakyReLU()(c)
    c = Convolution2D(128, 3, 3, border_mode='same', init='he_normal')(c)
    c = LeakyReLU()(c)
    c = Convolution2D(128, 3, 3, border_mode='same', init='he_normal')(c)
    c = LeakyReLU()(c)
    c = merge([c, x], mode='sum')
    c = BatchNormalization(mode=1)(c)
    x = c

model = Model(input=inp, output=c)
model.compile(optimizer='sgd', loss='mse')
model.fit(data, data, batch_size=2, nb_epoch=1)
prediction = model.predict(data)
"""


@pytest.mark.framework
@pytest.mark.parametrize("ordering", ["th", "tf"])
def test_the_snippet_runs_as_text(ordering: str) -> None:
    # Smaller only in its sizes, for the time of a test.
    text = SNIPPET.replace("(128, 56, 56)", "(6, 8, 6)" if ordering == "th" else "(8, 6, 6)")
    text = text.replace("(128, 3, 3", "(6, 3, 3")
    namespace: dict[str, object] = {}
    exec("from normscope.keras1 import *", namespace)
    namespace["set_image_dim_ordering"](ordering)  # type: ignore[operator]
    shape = (4, 6, 8, 6) if ordering == "th" else (4, 8, 6, 6)
    namespace["data"] = np.random.default_rng(0).standard_normal(shape).astype("float32")
    try:
        with pytest.warns(ContractWarning, match="normalizes axis 3 alone, 6 values at a time"):
            exec(text, namespace)
    finally:
        namespace["set_image_dim_ordering"]("tf")  # type: ignore[operator]

    prediction = namespace["prediction"]
    assert prediction.shape == shape  # type: ignore[attr-defined]
    # What mode 1 does: each row has mean 0 (gamma is 1 and beta 0, but for one step of training).
    assert np.abs(prediction.mean(axis=-1)).max() < 0.1  # type: ignore[attr-defined]
    names = [layer.name for layer in namespace["model"].layers[:4]]  # type: ignore[attr-defined]
    assert names[1].startswith("convolution2d_")
    assert names[2].startswith("leakyrelu_")


@pytest.mark.framework
def test_the_full_size_has_the_weights_of_keras_1() -> None:
    namespace: dict[str, object] = {}
    exec("from normscope.keras1 import *", namespace)
    namespace["set_image_dim_ordering"]("th")  # type: ignore[operator]
    try:
        with pytest.warns(ContractWarning, match="56 values"):
            exec(SNIPPET.split("model.compile")[0], namespace)
    finally:
        namespace["set_image_dim_ordering"]("tf")  # type: ignore[operator]
    assert namespace["model"].count_params() == 3_543_808  # type: ignore[attr-defined]


def test_importing_the_package_imports_no_framework() -> None:
    code = "import normscope.keras1, sys; print(*(set(sys.modules) & {'keras', 'jax', 'torch'}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


@pytest.mark.framework
def test_a_name_that_imports_a_framework_is_noticed() -> None:
    code = "from normscope.keras1 import l2; import sys; print('keras' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split()[-1] == "True"
