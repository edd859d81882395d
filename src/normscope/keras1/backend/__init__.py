"""`K`, the backend of Keras 1.2.2, on `keras.ops`: `from normscope.keras1 import backend as K`.

The functions take symbolic tensors, tensors and variables. Inside the functions of a `Lambda`, of
a `Layer` or of a loss they are of whichever backend Keras 3 runs on.
"""

from __future__ import annotations

from normscope.keras1.absent import refusing
from normscope.keras1.backend.arithmetic import *  # noqa: F403  # their __all__ are the names of K
from normscope.keras1.backend.functions import *  # noqa: F403
from normscope.keras1.backend.layout import *  # noqa: F403
from normscope.keras1.backend.neural import *  # noqa: F403
from normscope.keras1.backend.settings import *  # noqa: F403
from normscope.keras1.backend.settings import backend
from normscope.keras1.backend.variables import *  # noqa: F403

_BACKEND = backend()

_GRADIENTS = (
    "differentiate with the backend of Keras: torch.autograd.grad, jax.grad or tf.GradientTape, "
    "of a function that calls the model"
)
_OWN_LAYER = "use the layer {0}, or keras.ops.{1} of Keras 3"

__getattr__ = refusing(
    "backend",
    {
        "gradients": _GRADIENTS,
        "get_session": "there are no sessions in Keras 3; K.function and K.get_value need none",
        "set_session": "there are no sessions in Keras 3",
        "manual_variable_initialization": "variables of Keras 3 have values as soon as they exist",
        "print_tensor": "print the values of K.function([model.input], [tensor])",
        "deconv2d": _OWN_LAYER.format("Deconvolution2D", "conv_transpose"),
        "atrous_conv2d": "use conv2d with filter_dilation=(rate, rate)",
        "separable_conv2d": _OWN_LAYER.format("SeparableConvolution2D", "separable_conv"),
        "foldl": "use keras.ops.scan of Keras 3",
        "foldr": "use keras.ops.scan of Keras 3 with reverse=True",
        "ctc_batch_cost": "use keras.ops.ctc_loss of Keras 3",
        "ctc_decode": "use keras.ops.ctc_decode of Keras 3",
        "ctc_label_dense_to_sparse": "keras.ops.ctc_loss of Keras 3 takes dense labels",
        "to_dense": "use keras.ops.convert_to_tensor of Keras 3",
        "legacy_weight_ordering": "files of every order are read",
        "set_legacy_weight_ordering": "files of every order are read",
    },
)
