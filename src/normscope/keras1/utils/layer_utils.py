"""`keras.utils.layer_utils` of Keras 1.2.2."""

from normscope.keras1.absent import refusing
from normscope.keras1.live.layers.wrappers import layer_of as layer_from_config

__all__ = ["layer_from_config"]

__getattr__ = refusing(
    "utils.layer_utils",
    {
        "print_summary": "write model.summary()",
        "count_total_params": "write model.count_params()",
        "convert_all_kernels_in_model": "load_weights turns the kernels of Theano by itself",
    },
)
