"""What a layer's own settings declare: layer -> `Declaration`, and `spec_of` for its spec alone.

Nothing is called or measured here; that is `identify`'s part. No framework is imported: a layer is
known by the names of its classes and read through its attributes.
"""

from normscope.declared.declaration import Declaration
from normscope.declared.dispatch import declare, spec_of
from normscope.declared.expression import is_layer_expression
from normscope.declared.keras1 import KERAS1_MODE_1_WORDS, keras1_batch_normalization

__all__ = [
    "KERAS1_MODE_1_WORDS",
    "Declaration",
    "declare",
    "is_layer_expression",
    "keras1_batch_normalization",
    "spec_of",
]
