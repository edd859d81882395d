"""`CommonGenerators`: the generators that PyTorch draws from where none is named."""

from __future__ import annotations

import torch

from normscope.frameworks.state import State


class CommonGenerators(State):
    """The generator of the processor, and of each GPU that is in use."""

    def __init__(self) -> None:
        self._processor = torch.get_rng_state()
        in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        numbers = range(torch.cuda.device_count()) if in_use else ()
        self._gpus = {number: torch.cuda.get_rng_state(number) for number in numbers}

    def put_back(self, stream: int | None = 0) -> None:
        """Draw again what was drawn; in another stream others; with None go on."""
        if stream is None:
            return
        torch.set_rng_state(self._processor)
        for number, state in self._gpus.items():
            torch.cuda.set_rng_state(state, number)
        if stream:
            torch.manual_seed(stream)
