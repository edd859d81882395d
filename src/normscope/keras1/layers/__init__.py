"""`keras.layers` of Keras 1.2.2: every layer, whichever module it is of."""

from normscope.keras1.absent import refusing
from normscope.keras1.engine.topology import *  # noqa: F403
from normscope.keras1.layers.advanced_activations import *  # noqa: F403
from normscope.keras1.layers.convolutional import *  # noqa: F403
from normscope.keras1.layers.convolutional_recurrent import *  # noqa: F403
from normscope.keras1.layers.core import *  # noqa: F403
from normscope.keras1.layers.embeddings import *  # noqa: F403
from normscope.keras1.layers.local import *  # noqa: F403
from normscope.keras1.layers.noise import *  # noqa: F403
from normscope.keras1.layers.normalization import *  # noqa: F403
from normscope.keras1.layers.pooling import *  # noqa: F403
from normscope.keras1.layers.recurrent import *  # noqa: F403
from normscope.keras1.layers.wrappers import *  # noqa: F403

__getattr__ = refusing(
    "layers",
    {
        "Wrapper": "derive from Layer and call the layer inside in its call",
        "Recurrent": "derive from Layer and call K.rnn(step, x, states) in its call",
        "LambdaMerge": "use merge([a, b], mode=function)",
        "AutoEncoder": "use two models: Model(input=..., output=...)",
    },
)
