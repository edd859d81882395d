"""`ProgramReads`: notices where a program takes numbers out of tensors, past all operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_SHARES = """numpy data_ptr untyped_storage storage __array__ __dlpack__ apply_ map_"""
"""What gives the program the memory of a tensor."""

_READS = """tolist item __deepcopy__ __reduce_ex__ __bool__ __float__ __int__ __index__ __complex__
__contains__ __format__ __repr__"""
"""What gives it numbers, or a copy."""


class ProgramReads(TorchFunctionMode):
    """Within, it is told of each call that reads numbers, before it is made.

    Args:
        read: is told the tensor that is read, how, and whether its memory is shared from then on.
        replaced: is told that a tensor holds from now on what another one holds.
        whole: operators that are recorded as a whole, by the functions that users call.
        replaces: is told of a tensor that is about to hold what another one holds.
    """

    def __init__(
        self,
        read: Callable[[torch.Tensor, str, bool], None],
        replaced: Callable[[torch.Tensor, torch.Tensor], None],
        whole: dict[Any, Callable[..., Any]],
        replaces: Callable[[torch.Tensor], None],
    ) -> None:
        super().__init__()
        self._replaces = replaces
        self._read, self._replaced, self._whole = read, replaced, whole

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Every function of PyTorch that takes tensors comes by here."""
        kwargs = kwargs or {}
        if func in _READERS and args and isinstance(args[0], torch.Tensor):
            name, shares = _READERS[func]
            self._read(args[0], name, shares)
        if func in _MAKERS:
            for tensor in _in_lists([*args, *kwargs.values()]):
                self._read(tensor, func.__name__, False)
        if func == _SET_DATA:
            self._replaces(args[0])
        whole = self._whole.get(func)
        output = func(*args, **kwargs) if whole is None else whole(func, args, kwargs)
        if func == _SET_DATA:  # it is another object each time
            self._replaced(*args)
        return output


_SET_DATA = torch.Tensor.data.__set__  # type: ignore[attr-defined]
_READERS = {
    getattr(torch.Tensor, name): (name, names is _SHARES)
    for names in (_SHARES, _READS)
    for name in names.split()
}
_MAKERS = (
    torch.tensor,
    torch.as_tensor,
    torch.asarray,
    torch.sparse_coo_tensor,
    torch.Tensor.new_tensor,
    torch.Tensor.new,
)
"""They copy the numbers of tensors that are in lists."""


def _in_lists(arguments: list[Any]) -> Iterator[torch.Tensor]:
    for argument in arguments:
        if isinstance(argument, list | tuple):
            yield from (part for part in argument if isinstance(part, torch.Tensor))
            yield from _in_lists([part for part in argument if isinstance(part, list | tuple)])
