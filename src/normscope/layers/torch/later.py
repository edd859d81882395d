"""Parameters and buffers that have no shape yet: torch's, but that copies keep device and dtype."""

from __future__ import annotations

from typing import Any

from torch.nn.parameter import UninitializedBuffer, UninitializedParameter


class LaterParameter(UninitializedParameter):
    """A parameter without a shape, which pickle gives back on its device and in its dtype."""

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return type(self), (self.requires_grad, self.data.device, self.data.dtype)

    def requires_grad_(self, requires_grad: bool = True) -> LaterParameter:
        """Freeze it or not before it has a shape, which torch's own refuses."""
        self.requires_grad = requires_grad
        return self


class LaterBuffer(UninitializedBuffer):
    """A buffer without a shape, which can be copied and pickled; torch's own cannot be copied."""

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return type(self), (self.requires_grad, self.data.device, self.data.dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> LaterBuffer:
        if id(self) not in memo:
            make, arguments = self.__reduce_ex__(None)
            memo[id(self)] = make(*arguments)
        copied: LaterBuffer = memo[id(self)]
        return copied
