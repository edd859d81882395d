"""`operators_in_sight`: settings of PyTorch under which fused operators are taken apart."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def operators_in_sight() -> Iterator[None]:
    """Within, no gradients, no fused layers of encoders, attention in its parts, no compiling.

    Nor are there warnings, such as that nothing is there to compute gradients of.
    """
    with ExitStack() as settings:
        settings.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        settings.enter_context(torch.no_grad())
        told = logging.getLogger("torch._subclasses.fake_tensor")  # of errors that are raised too
        settings.callback(setattr, told, "disabled", told.disabled)
        told.disabled = True
        fused = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        settings.callback(torch.backends.mha.set_fastpath_enabled, fused)
        math = torch.nn.attention.SDPBackend.MATH
        settings.enter_context(torch.nn.attention.sdpa_kernel(math))
        checks = torch.distributions.Distribution._validate_args  # they read numbers to refuse them
        torch.distributions.Distribution.set_default_validate_args(False)
        settings.callback(torch.distributions.Distribution.set_default_validate_args, checks)
        if "torch._dynamo" in sys.modules:  # else nothing is compiled, and loading it takes long
            settings.enter_context(torch.compiler.set_stance("force_eager"))
        yield
