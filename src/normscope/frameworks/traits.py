"""`Traits`: what is known of a layer from its class and its settings, before anything runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """What is known of a layer from its class and its settings.

    Each framework's folder tells them of its own layers, in its module `traits`. A layer of which
    nothing is known has none of them: an audit then says less, and nothing wrong.

    Attributes:
        channel_axis: the axis of its output that holds the channels which it makes; None for a
            layer that makes none.
        adds_bias: whether its last step is to add one learned number per channel.
        keeps_axes: whether each axis of its output means what it means in its input.
        identity: whether it passes values on unchanged.
    """

    channel_axis: int | None = None
    adds_bias: bool = False
    keeps_axes: bool = False
    identity: bool = False
