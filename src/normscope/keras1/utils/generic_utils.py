"""`keras.utils.generic_utils` of Keras 1.2.2."""

import keras

from normscope.keras1.absent import refusing

CustomObjectScope = keras.utils.CustomObjectScope
Progbar = keras.utils.Progbar
custom_object_scope = keras.utils.custom_object_scope
get_custom_objects = keras.utils.get_custom_objects

__all__ = ["CustomObjectScope", "Progbar", "custom_object_scope", "get_custom_objects"]

__getattr__ = refusing(
    "utils.generic_utils",
    {
        "func_dump": "name the function; code is neither stored nor read",
        "func_load": "name the function; code is neither stored nor read",
        "get_from_module": "use the get of the module, such as activations.get",
        "make_tuple": "write tuple(items)",
    },
)
