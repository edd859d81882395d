"""The loop nest of a backward call: how its arrays are stepped through."""

from __future__ import annotations

from normscope.kernels.contract import BackwardPlace
from normscope.kernels.nest import functions_for

offsets, strides, moved, ahead, row_loop, has_fixed_parameters = functions_for(BackwardPlace)
