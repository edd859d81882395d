"""Tensors and the engine's kernels: the same memory, by its address, and no copy.

What depends only on the spec and on the form of the tensors is made once and found again: `form_of`
gives it. Statistics are arrays of NumPy, in float64, as the kernels write them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normscope.engine import buffers
from normscope.engine.backward import BackwardKernels
from normscope.engine.forward import ForwardKernels
from normscope.engine.gradient_plan import gradient_call, parameter_axes
from normscope.engine.guard import has_constants, with_constants_apart
from normscope.engine.kept_calls import keep
from normscope.engine.operands import dense_strides, unless_in_order
from normscope.engine.parameter_pass import ParameterPass
from normscope.engine.parameters import Parameters, checked_axes
from normscope.engine.prepared import prepare
from normscope.engine.validation import check_set_size
from normscope.kernels.contract import DIVISOR, MEAN, ROWS
from normscope.layers.torch.formula import check_mask
from normscope.layers.torch.operands import KINDS, Operands
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec

Array = NDArray[Any]
Floats = NDArray[np.float64]
Learned = tuple[Floats | None, Floats | None]


class Form:
    """The kernels for tensors of one form."""

    def __init__(self, spec: NormSpec, layout: Layout, given: Operands, inplace: bool) -> None:
        """Prepare the kernels.

        Args:
            spec, layout: the normalization, fitted to x.
            given: tensors like those to come.
            inplace: whether x is overwritten by the output.

        Raises:
            ShapeError: a parameter or the mask does not fit.
        """
        x = given.x
        along = x.stride()
        self.pattern = self.spec = spec
        self.layout = layout
        self.shape, self.dtype = tuple(x.shape), x.dtype
        self._kind = KINDS[x.dtype]
        order = _order_of(x)
        self._order = unless_in_order(order)
        self._strides = dense_strides(self.shape, order, 1)
        size = self._kind.itemsize
        self._dense = _in_bytes(self._strides, size)
        self._bytes = x.numel() * size
        mask = given.mask
        if mask is not None:
            check_mask(mask, layout)
            mask = mask.expand(self.shape)
        scale, bias = numbers(given.scale), numbers(given.bias)
        axes = checked_axes(spec, layout, scale, bias)
        strides = (
            _in_bytes(along, size),
            _in_bytes(along, size) if inplace else self._dense,
            None if given.residual is None else _in_bytes(given.residual.stride(), size),
            None if mask is None else mask.stride(),
        )
        prepared = prepare(spec, layout, self._kind, strides, axes)
        self._parameters = Parameters.like(prepared, self._kind, axes, scale, bias)
        self.kernels = ForwardKernels(prepared, self._parameters.dtype)
        self._measurable = prepared.plan.set_size > spec.ddof
        self._has_constants = has_constants(spec)
        self._backward: dict[Any, BackwardKernels] = {}
        self._passes: dict[Any, ParameterPass] = {}

    def empty(self) -> Tensor:
        """A tensor for the output, whose memory may be that of an earlier one."""
        if self._bytes < buffers.SMALLEST:
            # `with torch.device("meta")` would have no memory
            on = torch.device("cpu")
            return torch.empty_strided(self.shape, self._strides, dtype=self.dtype, device=on)
        if self.dtype == torch.bfloat16:
            words = buffers.empty(self.shape, np.dtype(np.int16), self._order)
            return torch.from_numpy(words).view(torch.bfloat16)
        assert isinstance(self._kind, np.dtype)
        return torch.from_numpy(buffers.empty(self.shape, self._kind, self._order))

    def run(
        self,
        given: Operands,
        slope: float | None,
        statistics: Floats | None,
        measured: bool,
        out: Tensor | None = None,
    ) -> tuple[Tensor, Floats | None]:
        """Normalize.

        Args:
            given: tensors like those that the form was made for.
            slope: of a LeakyReLU that follows, or None.
            statistics: from elsewhere, in the rows of `normscope.kernels.contract`.
            measured: whether those that are measured are wanted.
            out: where the output goes; None: a new tensor.

        Returns:
            The output, and the statistics: those given, else those measured if they are wanted.

        Raises:
            ShapeError: a statistics set holds too few values.
        """
        if statistics is None and not self._measurable:
            check_set_size(self.spec, self.layout)
        x, residual, mask = given.x, given.residual, given.mask
        if mask is not None:
            mask = mask.expand(self.shape)
        scale, bias = numbers(given.scale), numbers(given.bias)
        parameters = self._parameters
        if not parameters.ready:
            scale, bias = parameters.read(0, scale, None), parameters.read(1, bias, None)
        y = self.empty() if out is None else out
        found = self.kernels.run_at(
            x.data_ptr(),
            y.data_ptr(),
            scale,
            bias,
            None if residual is None else residual.data_ptr(),
            None if mask is None else mask.data_ptr(),
            slope,
            statistics,
            measured,
        )
        if out is not None and not out.is_inference():  # or autograd would not know of it
            torch.autograd.graph.increment_version(out)
        return y, found

    def gradients(
        self, dy: Tensor, x: Tensor, kept: Floats, scale: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor, Floats | None, Floats | None]:
        """The gradients of x, scale and bias.

        Args:
            dy: with respect to the output.
            x: what was normalized, the residual included.
            kept: mean and rstd of each set, (2, sets).
            scale, mask: those of the call.
        """
        if mask is not None:
            mask = mask.expand(self.shape)
        factor = numbers(scale)
        kernels = self._backward_kernels(dy, x, mask, factor)
        mean, rstd = kept
        if self._has_constants:
            rstd = with_constants_apart(self.spec, _array(x), _booleans(mask), self._of_sets(rstd))
        if mask is not None:
            rstd = self._of_filled_sets(rstd, mask)
        dx = self.empty()
        learned = kernels.run_at(
            x.data_ptr(),
            dy.data_ptr(),
            dx.data_ptr(),
            mean,
            rstd,
            None if factor is None else kernels.scale_ready(factor),
            None if mask is None else mask.data_ptr(),
        )
        return dx, *learned

    def parameter_gradients(self, dy: Tensor, x: Tensor, statistics: Floats) -> Learned:
        """The gradients of scale and bias where the statistics are given, by a pass of their own.

        Args:
            dy: with respect to the output.
            x: what was normalized, the residual included.
            statistics: those given.
        """
        means, rstds = kept_of(statistics, self.spec)
        scale, bias = parameter_axes(self.spec, self.layout)
        sums = {
            axes: self._pass(axes, dy, x).sums(x.data_ptr(), dy.data_ptr(), means, rstds)
            for axes in {scale, bias}
            if axes is not None
        }
        return (
            None if scale is None else sums[scale][1],
            None if bias is None else sums[bias][0],
        )

    def _pass(self, axes: tuple[int, ...], dy: Tensor, x: Tensor) -> ParameterPass:
        """That over tensors like these, made once."""
        key = axes, dy.stride(), x.stride()
        found = self._passes.get(key)
        if found is None:
            size = self._kind.itemsize
            strides = _in_bytes(x.stride(), size), _in_bytes(dy.stride(), size)
            found = ParameterPass(self.layout, axes, self._kind, strides)
            self._passes[key] = found
        return found

    def _backward_kernels(
        self, dy: Tensor, x: Tensor, mask: Tensor | None, scale: Array | None
    ) -> BackwardKernels:
        """Those for tensors like these, made once."""
        key = dy.stride(), x.stride(), None if scale is None else scale.dtype
        found = self._backward.get(key)
        if found is None:
            size = self._kind.itemsize
            strides = (
                _in_bytes(x.stride(), size),
                self._dense,
                _in_bytes(dy.stride(), size),
                None if mask is None else mask.stride(),
            )
            spec, layout = self.spec, self.layout
            planned = gradient_call(spec, layout, scale is not None, self._kind, *strides)
            found = BackwardKernels(planned, self._kind, strides, scale)
            self._backward[key] = found
        return found

    def _of_sets(self, values: Floats) -> Floats:
        """Numbers of all sets in the shape of the kept axes."""
        return values.reshape([self.layout.known_sizes[i] for i in self.layout.kept])

    def _of_filled_sets(self, rstd: Floats, mask: Tensor) -> Floats:
        """The rstds, 0 of sets of which nothing counts: their output is the bias, whatever x is."""
        counted = mask.numpy().reshape(self.layout.known_sizes)
        some = counted.any(self.layout.shared).reshape(rstd.shape)
        return np.where(some, rstd, 0.0)


_forms: dict[Any, Form] = {}


def form_of(spec: NormSpec, layout: Layout, given: Operands, inplace: bool = False) -> Form:
    """The form of tensors like these, prepared once.

    Raises:
        ShapeError: a parameter does not fit.
    """
    x, scale, bias, residual, mask = given
    key = (
        id(spec),  # which the form keeps alive
        x.shape,
        x.stride(),
        x.dtype,
        inplace,
        None if scale is None else (scale.shape, scale.dtype),
        None if bias is None else (bias.shape, bias.dtype),
        None if residual is None else residual.stride(),
        None if mask is None else (mask.shape, mask.stride()),
    )
    form = _forms.get(key)
    if form is None:
        form = Form(spec, layout, given, inplace)
        keep(_forms, key, form)
    return form


def kept_of(statistics: Floats, spec: NormSpec) -> Floats:
    """What is subtracted, and rstd, of each set, (2, sets): what the backward pass needs."""
    kept = np.empty((2, statistics.shape[1]))
    kept[0] = statistics[MEAN] if spec.center else 0.0
    _one_over(statistics[DIVISOR], kept[1], spec.eps)
    return kept


def _one_over(values: Floats, out: Floats, eps: float) -> None:
    """1 / values. A warning of a division by 0, which costs a microsecond, is kept from users."""
    if eps > 0:
        np.divide(1, values, out=out)
        return
    with np.errstate(divide="ignore"):
        np.divide(1, values, out=out)


def statistics_of(kept: Floats) -> Floats:
    """The statistics that a call is given, from what was kept of another."""
    statistics = np.ones((ROWS, kept.shape[1]))
    statistics[MEAN] = kept[0]
    _one_over(kept[1], statistics[DIVISOR], 0.0)
    return statistics


class _Memory:
    """The numbers of a contiguous tensor, for `np.asarray`.

    `Tensor.numpy` would do, but for good keeps anybody from freeing the memory in the meantime, as
    FSDP does with parameters.
    """

    def __init__(self, values: Tensor) -> None:
        self.values = values  # kept alive
        self.__array_interface__ = {
            "version": 3,
            "shape": tuple(values.shape),
            "typestr": _CODES[values.dtype],
            "data": (values.data_ptr(), True),
        }


_CODES = {
    torch.float32: np.dtype(np.float32).str,
    torch.float64: np.dtype(np.float64).str,
}


def numbers(parameter: Tensor | None) -> Array | None:
    """A parameter as a flat array of NumPy; of 16 bits, as float32; what are no floats, as float64.

    Flat, because its own shape may count parts of an axis as one.
    """
    if parameter is None:
        return None
    values = parameter
    if values.dtype not in _CODES:
        narrow = values.dtype in KINDS
        values = values.detach().to(torch.float32 if narrow else torch.float64)
    if not values.is_contiguous():
        values = values.detach().contiguous()
    return np.asarray(_Memory(values)).reshape(-1)


def _array(x: Tensor) -> Array:
    """The numbers of a tensor, as NumPy has them: what has 16 bits as float32."""
    array: Array = (x.float() if x.element_size() == 2 else x).detach().numpy()
    return array


def _booleans(mask: Tensor | None) -> NDArray[np.bool_] | None:
    return None if mask is None else mask.numpy()


def _order_of(x: Tensor) -> tuple[int, ...]:
    """The axes from the largest step in memory to the smallest, as the output has them.

    An expanded axis, whose steps are 0, stands where torch's own operators put it.

    >>> _order_of(torch.zeros(1, 2, 3).expand(4, 2, 3))
    (0, 1, 2)
    """
    steps = x.stride()
    if 0 in steps:
        steps = torch.empty_like(x, device="meta").stride()
    return tuple(sorted(range(x.dim()), key=lambda axis: (-steps[axis], axis)))


def _in_bytes(strides: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    return tuple([stride * itemsize for stride in strides])
