"""`Norm`: any `NormSpec` as a PyTorch layer, with the parameters and buffers of torch's own."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from normscope.engine.allocator import is_retained
from normscope.engine.validation import check_slope
from normscope.errors import ShapeError, SpecError
from normscope.layers.common.parameters import check_set_size
from normscope.layers.common.statement import stated
from normscope.layers.torch.compute import run, run_with
from normscope.layers.torch.fit import Fit, fitted, known_lengths
from normscope.layers.torch.inputs import check_residual, check_tensor, checked_input
from normscope.layers.torch.memory import applied_variance, counts_samples, in_backward_pass
from normscope.layers.torch.quick import Quick, quick_call
from normscope.layers.torch.state import NormState
from normscope.layers.torch.symbolic import call_of, is_followed, not_scripted
from normscope.layers.torch.synchronization import checked, processes_of
from normscope.layers.torch.unbatched import batch_of_one, checked_unbatched
from normscope.layers.torch.weights import BUFFERS, PARAMETERS, weight_shapes
from normscope.notation.shape import Size
from normscope.notation.spec import Measure, NormSpec
from normscope.notation.values import flag

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

_KEPT_FITS = 64
"""So many shapes of inputs a layer remembers the layout of."""


class Norm(NormState):
    """Normalizes as a `NormSpec` says.

        y = (x - m) / max(sqrt(v + eps) + eps_outside, floor) * weight + bias

    with m and v the mean and the measure of each statistics set; `1 + weight` with `scale_shift=1`.
    In training a spec with `running` takes them from the batch and moves the running statistics,

        running = decay * running + (1 - decay) * batch

    in `eval()`, and with `frozen=True` in `train()` too, it uses the running ones and leaves them
    as they are. Any other spec always takes them from its input.

    Statistics are computed in float32 or wider, the variance around the mean.

    Parameters and buffers have the names and shapes of torch's own layers, so that checkpoints of
    these load here and those from here load there: `weight` and `bias` where the spec has `scale`
    and `bias`, in the shape of the axes that it names; `running_mean`, `running_var` and
    `num_batches_tracked` with `running`, the first two in the shape of the axes outside brackets.
    `running_var` holds what `Running` says: the variance, with eps in it, or a deviation. With the
    measure `none` there is none; without centring there is no `running_mean`. An axis of the input
    that parentheses take apart counts as one: the weight of `"b (g [c])"` along `"g c"` is flat.

    Where the first axis of the input lies outside brackets, and has neither a size in the spec nor
    a parameter along it, it counts samples: the running statistics are averages over it, as in
    torch's instance norms. With a size they run along it.

    Args:
        normalization: a `NormSpec`, a pattern such as `"b [s...] (g [c])"`, or a layer by name such
            as `"torch.LayerNorm(128)"`.
        frozen: use the running statistics, and leave them as they are, in `train()` too. It is an
            attribute that may be set at any time.
        synchronized: True, or a process group of `torch.distributed`: the processes share the
            statistics sets that reach over the first axis.
        memory_format: how the output lies in memory, such as `torch.channels_last`; None: as the
            input. An input that lies otherwise is copied first.
        unbatched: an input with one axis fewer than the pattern is one sample without the first
            axis, and so is its output, as torch's instance norms have it; by default it is refused.
        device, dtype: of parameters and running statistics.
        **fields_and_sizes: with a pattern, fields of `NormSpec` and sizes of axes (`c=64`); with a
            `NormSpec`, sizes. Parameters whose sizes are not given are made with the first input,
            or by `load_state_dict`.

    Attributes:
        spec: the `NormSpec`; another with the same parameters may be set, such as
            `dataclasses.replace(layer.spec, eps=1e-3)`.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly.
        DtypeError: `dtype` is none of floats.

    Example:
        >>> layer = Norm("b (g [c]) [h w]", g=2, scale="g c", bias="g c")
        >>> layer(torch.zeros(8, 6, 5, 5)).shape, layer.weight.shape
        (torch.Size([8, 6, 5, 5]), torch.Size([6]))
        >>> layer.load_state_dict(torch.nn.GroupNorm(2, 6).state_dict())
        <All keys matched successfully>
        >>> layer
        Norm("b (g [c]) [h w]" with g=2, eps=1e-05, scale and bias along g c)
    """

    frozen: bool
    synchronized: bool | ProcessGroup | None
    memory_format: torch.memory_format | None
    unbatched: bool

    def __init__(
        self,
        normalization: NormSpec | str,
        *,
        frozen: bool = False,
        synchronized: bool | ProcessGroup | None = None,
        memory_format: torch.memory_format | None = None,
        unbatched: bool = False,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        **fields_and_sizes: Any,
    ) -> None:
        spec = _checked(stated(normalization, fields_and_sizes), frozen)
        super().__init__(spec, device=device, dtype=dtype)
        self.frozen = frozen
        self.synchronized = checked(synchronized)
        self.memory_format = _checked_format(memory_format)
        self.unbatched = checked_unbatched(unbatched, spec)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        residual: Tensor | None = None,
        negative_slope: float | None = None,
        inplace: bool = False,
    ) -> Tensor:
        """Normalize x.

        Args:
            x: floats, of a shape that meets the pattern, in any memory layout.
            mask: booleans that broadcast to x. Only values where it is True enter the statistics; a
                set without any becomes the bias and leaves its running statistics alone. Where
                running statistics are used, a mask keeps what it hides out of gradients, where that
                is not finite, and changes nothing else.
            residual: of x's shape and dtype, added to x first.
            negative_slope: of a LeakyReLU that follows; 0 is ReLU.
            inplace: x may be overwritten by the output, from which the backward pass finds it
                again: no input is kept. It is not where it cannot be found: with a mask, a
                `negative_slope` that is not above 0, or a scale so near to 0 that the output says
                too little; nor where no kernel runs. Gradients cannot be derived again then.

        Returns:
            A tensor of x's shape and dtype.

        Raises:
            DtypeError: x is no tensor of floats, or the mask none of booleans.
            ShapeError: x does not meet the pattern or the parameters; or a statistics set holds too
                few values for its divisor.
        """
        if type(x) is not Tensor and is_followed(x):
            return call_of(self, x, mask, residual, negative_slope, inplace)  # type: ignore[no-any-return]
        if self.lacks_batch(x):
            residual = batch_of_one(residual)
            return Norm.forward(self, x[None], mask, residual, negative_slope)[0]
        if self.memory_format is not None:
            x = _laid_out(x, self.memory_format)
        if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
            return self._traced(x, mask, residual, negative_slope)
        if mask is None and residual is None and negative_slope is None and not inplace:
            y = self._quickly(x)
            if y is not None:
                return y
        elif is_followed(mask, residual):
            return call_of(self, x, mask, residual, negative_slope, inplace)  # type: ignore[no-any-return]
        return self._computed(x, mask, residual, negative_slope, inplace)

    def _computed(
        self,
        x: Tensor,
        mask: Tensor | None,
        residual: Tensor | None,
        negative_slope: float | None,
        inplace: bool = False,
    ) -> Tensor:
        fit = self._fitted(x)
        if residual is not None:
            check_residual(residual, x)
        if mask is not None:
            check_tensor("mask", mask)
        if negative_slope is not None:
            negative_slope = check_slope(negative_slope)
        if fit.applied is not None and self._applies_running():
            spec, layout = fit.applied
            return run_with(
                x,
                spec,
                layout,
                self.running_mean,
                applied_variance(spec, self.running_var),
                scale=self.weight,
                bias=self.bias,
                mask=mask,
                residual=residual,
                negative_slope=negative_slope,
                inplace=inplace,
            )
        processes = None
        if self.synchronized:
            processes = processes_of(self.synchronized, self.spec, fit.layout)
        if processes is None and fit.too_few:
            check_set_size(self.spec, fit.layout)
        y, found = run(
            x,
            self.spec,
            fit.layout,
            scale=self.weight,
            bias=self.bias,
            mask=mask,
            residual=residual,
            negative_slope=negative_slope,
            processes=processes,
            inplace=inplace,
        )
        moves = self.training and not in_backward_pass()
        if found is not None and fit.memory is not None and moves:
            fit.memory.move(found, self.running_mean, self.running_var)
            if self.num_batches_tracked is not None:
                fit.memory.count_batch(self.num_batches_tracked)
        return y

    def _traced(
        self,
        x: Tensor,
        mask: Tensor | None,
        residual: Tensor | None,
        negative_slope: float | None,
    ) -> Tensor:
        """The same, for a compiler that follows torch operators, and no patterns and layouts."""
        from normscope.layers.torch import tracing

        tensors = {"x": checked_input(x)}
        if residual is not None:
            check_residual(residual, x)
        counted = ("num_batches_tracked",) if self.training else ()
        for name in (*PARAMETERS, *BUFFERS, *counted):
            tensor = getattr(self, name)
            if tensor is not None:
                tensors[name] = tensor
        if mask is not None:
            tensors["mask"] = mask
        if residual is not None:
            tensors["residual"] = residual
        applied, processes = self._applies_running(), self.synchronized
        return tracing.normalize(self.spec, tensors, applied, negative_slope, processes)

    def _applies_running(self) -> bool:
        """Whether running statistics are used. Who sets them to None wants those of each batch."""
        if self.spec.running is None or (self.training and not self.frozen):
            return False
        return self.frozen or self.running_mean is not None or self.running_var is not None

    def extra_repr(self) -> str:
        """The spec in words, and what else is not the default."""
        options = [str(self.spec)]
        if self.spec.running is not None and counts_samples(self.spec):
            first = self.spec.parsed.items[0]
            options.append(f"averaged over {self.spec.parsed.text[first.start : first.stop]}")
        if self.frozen:
            options.append("frozen=True")
        if self.synchronized:
            given = "True" if self.synchronized is True else "a process group"
            options.append(f"synchronized={given}")
        if self.memory_format is not None:
            options.append(f"memory_format={self.memory_format}")
        if self.unbatched:
            options.append("unbatched=True")
        return ", ".join(options)

    __prepare_scriptable__ = not_scripted  # which torch.jit.script asks for

    # --- inputs -----------------------------------------------------------------------------------

    def lacks_batch(self, x: object) -> bool:
        """Whether an input is one sample without its batch axis, where that is taken."""
        return self.unbatched and isinstance(x, Tensor) and x.dim() == self._sample_axes

    def _quickly(self, x: Tensor) -> Tensor | None:
        """The output, of a small input that torch's own layer would take; else None."""
        if type(x) is not Tensor or self.synchronized:
            return None
        applied = self.frozen or not self.training
        try:
            key = x.shape, x.stride(), x.dtype, x.is_cpu, applied, is_retained()
            quick: Quick | None = self._quick[key]
        except KeyError:
            self._fitted(x)
            if len(self._quick) >= _KEPT_FITS:
                self._quick.clear()
            quick = self._quick[key] = quick_call(self.spec, x, applied)
        except (TypeError, RuntimeError):
            return None  # a length that is open while a model is traced has no hash; sparse tensors
            # have no strides
        return None if quick is None else quick(self, x)

    def _fitted(self, x: object) -> Fit:
        """The spec fitted to an input, which makes what is still to be made."""
        x = checked_input(x)
        try:
            fit: Fit | None = self._fits.get(x.shape)
        except TypeError:  # a length that is open while a model is traced has no hash
            return self._fitted_to(known_lengths(x))
        if fit is None:
            if len(self._fits) >= _KEPT_FITS:
                self._fits.clear()
            fit = self._fits[x.shape] = self._fitted_to(tuple(x.shape))
        return fit

    def _fitted_to(self, shape: tuple[Size, ...]) -> Fit:
        """The spec fitted to a shape; None for a length that is open."""
        fit = fitted(self.spec, shape)
        for name, wanted in weight_shapes(self.spec, fit.layout).items():
            tensor = getattr(self, name)
            if tensor is None:  # somebody took it away, as with torch's own layers
                continue
            if is_lazy(tensor) and wanted is not None:
                self.make(name, wanted)
            elif wanted is not None and tuple(tensor.shape) != wanted:
                raise ShapeError(
                    f"{name} has the shape {tuple(tensor.shape)}, and this input needs {wanted}",
                    self.spec.pattern,
                    shape,
                )
        return fit

    def __deepcopy__(self, memo: dict[int, Any]) -> Norm:
        """A copy, which shares its statistics with the same processes: a group cannot be copied."""
        memo[id(self.synchronized)] = self.synchronized
        memo[id(self)] = copied = type(self).__new__(type(self))
        # what `self` is by now refuses to give a state if its parameters are parametrized
        copied.__setstate__(copy.deepcopy(Norm.__getstate__(self), memo))
        return copied

    def __getstate__(self) -> dict[str, Any]:
        laid_out = self.memory_format and str(self.memory_format)  # which torch.save refuses
        return {**self.__dict__, "memory_format": laid_out, "_fits": {}, "_quick": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        laid_out = state["memory_format"] and _FORMATS[state["memory_format"]]
        super().__setstate__({**state, "memory_format": laid_out})  # type: ignore[no-untyped-call]


def _laid_out(x: object, memory_format: torch.memory_format) -> Tensor:
    """The input, in the memory format that the output is to have."""
    x = checked_input(x)
    needed = _RANKS.get(memory_format, x.dim())
    if x.dim() != needed:
        raise ShapeError(
            f"memory_format={memory_format} is for {needed} axes, and x has {x.dim()}: write "
            "memory_format=None",
            None,
            tuple(x.shape),
        )
    return x.contiguous(memory_format=memory_format)


_RANKS = {torch.channels_last: 4, torch.channels_last_3d: 5}
_FORMATS = {
    str(known): known for known in (torch.contiguous_format, torch.preserve_format, *_RANKS)
}


def _checked_format(memory_format: object) -> torch.memory_format | None:
    if memory_format is None or memory_format is torch.preserve_format:
        return None
    if isinstance(memory_format, torch.memory_format):
        return memory_format
    raise SpecError(
        f"memory_format is one of torch's, such as torch.channels_last, not {memory_format!r}"
    )


def _checked(spec: NormSpec, frozen: object) -> NormSpec:
    """The spec, if this layer can run it."""
    flag("frozen", frozen)
    if spec.pattern is None:
        raise SpecError(
            "this spec has no pattern: it takes no statistic from its input; give the spec of the "
            "training mode, which knows by its running statistics what inference does"
        )
    if frozen and spec.running is None:
        raise SpecError(
            "frozen=True uses running statistics, and the spec has none: give it "
            "running=Running(decay=0.9)"
        )
    if spec.running and spec.measure not in (Measure.VARIANCE, Measure.NONE):
        raise SpecError(
            f"running statistics are a mean and a variance; with the measure {spec.measure} there "
            "is none that inference could use: leave running out"
        )
    return spec
