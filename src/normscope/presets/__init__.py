"""Normalizations by the names that people know: textbook forms and each framework's layers."""

from normscope.presets.table import get, preset, preset_names

__all__ = ["get", "preset", "preset_names"]
