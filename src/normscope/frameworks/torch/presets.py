"""PyTorch 2: channels are always axis 1; the running variance is the unbiased one."""

from __future__ import annotations

from collections.abc import Sequence

from normscope.errors import SpecError
from normscope.frameworks.preset_patterns import Preset, parameters
from normscope.notation.spec import Measure, NormSpec, Running, spec
from normscope.wording import counted


def batch_norm_1d(
    num_features: int | None = None,
    eps: float = 1e-5,
    momentum: float | None = 0.1,
    affine: bool = True,
    track_running_stats: bool = True,
) -> NormSpec:
    """torch.nn.BatchNorm1d, on (batch, channels) or (batch, channels, length)."""
    return _batch_norm("[b] c [s...]", num_features, eps, momentum, affine, track_running_stats)


def batch_norm_2d(
    num_features: int | None = None,
    eps: float = 1e-5,
    momentum: float | None = 0.1,
    affine: bool = True,
    track_running_stats: bool = True,
) -> NormSpec:
    """torch.nn.BatchNorm2d."""
    return _batch_norm("[b] c [h w]", num_features, eps, momentum, affine, track_running_stats)


def batch_norm_3d(
    num_features: int | None = None,
    eps: float = 1e-5,
    momentum: float | None = 0.1,
    affine: bool = True,
    track_running_stats: bool = True,
) -> NormSpec:
    """torch.nn.BatchNorm3d."""
    return _batch_norm("[b] c [d h w]", num_features, eps, momentum, affine, track_running_stats)


def _batch_norm(
    pattern: str,
    num_features: int | None,
    eps: float,
    momentum: float | None,
    affine: bool,
    track_running_stats: bool,
) -> NormSpec:
    if momentum is None:
        raise SpecError("momentum=None averages over all batches so far; that has no decay")
    running = Running(1 - momentum, ddof=1) if track_running_stats else None
    sizes = {} if num_features is None else {"c": num_features}
    return spec(pattern, sizes=sizes, eps=eps, running=running, **parameters("c", affine, affine))


def layer_norm(
    normalized_shape: int | Sequence[int] | None = None,
    eps: float = 1e-5,
    elementwise_affine: bool = True,
    bias: bool = True,
) -> NormSpec:
    """torch.nn.LayerNorm; without a `normalized_shape`, over the last axis.

    >>> print(layer_norm([56, 56]))
    "... [d0 d1]" with d0=56, d1=56, eps=1e-05, scale and bias along d0 d1
    """
    pattern, sizes, names = _last_axes(normalized_shape)
    affine = parameters(names, elementwise_affine, elementwise_affine and bias)
    return spec(pattern, sizes=sizes, eps=eps, **affine)


def group_norm(
    num_groups: int, num_channels: int | None = None, eps: float = 1e-5, affine: bool = True
) -> NormSpec:
    """torch.nn.GroupNorm."""
    if num_channels is not None and (num_groups < 1 or num_channels % num_groups):
        raise SpecError(
            f"{counted(num_channels, 'channel')} cannot be divided into "
            f"{counted(num_groups, 'group')}"
        )
    sizes = {"g": num_groups}
    if num_channels is not None:
        sizes["c"] = num_channels // num_groups
    return spec("b (g [c]) [s...]", sizes=sizes, eps=eps, **parameters("g c", affine, affine))


def instance_norm(
    num_features: int | None = None, eps: float = 1e-5, affine: bool = False
) -> NormSpec:
    """torch.nn.InstanceNorm1d, 2d and 3d, without running statistics (the default)."""
    sizes = {} if num_features is None else {"c": num_features}
    return spec("b c [s...]", sizes=sizes, eps=eps, **parameters("c", affine, affine))


def rms_norm(
    normalized_shape: int | Sequence[int] | None = None,
    eps: float | None = None,
    elementwise_affine: bool = True,
) -> NormSpec:
    """torch.nn.RMSNorm; eps=None is the machine epsilon of float32, 1.19e-7."""
    pattern, sizes, names = _last_axes(normalized_shape)
    return spec(
        pattern,
        sizes=sizes,
        eps=2.0**-23 if eps is None else eps,
        center=False,
        measure=Measure.MEAN_SQUARE,
        **parameters(names, elementwise_affine, False),
    )


def _last_axes(normalized_shape: int | Sequence[int] | None) -> tuple[str, dict[str, int], str]:
    """Pattern, sizes and parameter axes of a layer over the last axes."""
    if normalized_shape is None:
        return "... [c]", {}, "c"
    if isinstance(normalized_shape, int):
        return "... [c]", {"c": normalized_shape}, "c"
    sizes = {f"d{i}": size for i, size in enumerate(normalized_shape)}
    names = " ".join(sizes)
    return f"... [{names}]", sizes, names


PRESETS: dict[str, Preset] = {
    "torch.BatchNorm1d": batch_norm_1d,
    "torch.BatchNorm2d": batch_norm_2d,
    "torch.BatchNorm3d": batch_norm_3d,
    "torch.LayerNorm": layer_norm,
    "torch.GroupNorm": group_norm,
    "torch.InstanceNorm1d": instance_norm,
    "torch.InstanceNorm2d": instance_norm,
    "torch.InstanceNorm3d": instance_norm,
    "torch.RMSNorm": rms_norm,
}
