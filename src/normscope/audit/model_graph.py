"""`ModelGraph`: what rules see of a model, whatever framework or file it came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from normscope.audit.entry import Entry
from normscope.audit.flow import Flow
from normscope.audit.found.site import Kind as Kind
from normscope.audit.observed import Observed
from normscope.audit.padding import Padding
from normscope.audit.probe import Probe
from normscope.audit.promises import Promise as Promise
from normscope.audit.surroundings import Residuals, Step as Step, Surroundings, UnusedLayer
from normscope.frameworks.advice import Advice
from normscope.frameworks.condition import Condition
from normscope.frameworks.declaration import Declaration
from normscope.notation.axis_words import axis_word
from normscope.notation.layout import Layout
from normscope.notation.shape import Size
from normscope.notation.spec import NormSpec, Running
from normscope.sight.verdict import Samples

if TYPE_CHECKING:
    from normscope.audit.against import Against

Shape = tuple[Size, ...]


@dataclass(frozen=True)
class Maker:
    """What makes the channels that a site normalizes, the nearest upstream.

    Attributes:
        path: of the layer, as its user names it.
        channel_axis: the axis of the site's input along which its channels run; None where they
            have lost their place.
        adds_bias: whether one learned number per channel is added at its end.
        direct: whether the site's input is what it makes, but for casts and moves.
        sole: whether nothing uses what it makes but normalizations that subtract such a bias.
        convolves: whether it is a convolution, so that other axes are positions.
    """

    path: str
    channel_axis: int | None
    adds_bias: bool = False
    direct: bool = False
    sole: bool = False
    convolves: bool = False


@dataclass(frozen=True)
class Site:
    """One place where something is normalized.

    Attributes:
        path: the layer, as its user names it; "" is the model itself.
        type: the name of the class of the layer; "" if it is not known.
        title: the layer or the operator, in words.
        train, infer: what is computed in training and at inference; None where no spec says it.
        input_shape: None if it is not known.
        declared: what the layer's own settings declare; None if they say nothing.
        kind: what it turned out to be.
        dtype: of the computation.
        sample_axes: the axes of the input along which the samples lie; None if they are not known.
        operator: the native name of the operator, or of the first statistic; "" where a layer was
            read and not run.
        source: the line of the program, "file.py:12"; "" if it is not known.
        verified: whether the specs were seen to reproduce what the model computes.
        max_ulp: the largest difference seen, in units in the last place.
        differs: what is computed but not declared, in words; "" if that agrees.
        words: what it does where no spec says it, or why nothing could be said; else "".
        dismissed: why it is no normalization after all; "" if it is one.
        makers: the nearest makers of its channels, the first few of them.
        more_makers: there are more.
        remembered: of a site that uses stored statistics in every mode, the spec that takes such
            statistics, by the axes along which they run; None elsewhere.
        arrays: stored values by role: scale, bias, running_mean, running_var; those there are. The
            last holds what the `running` of the training spec says, which may be a deviation.
        parameters: where the model holds these: role -> path.
        call_number: 1 at the first call of the layer, 2 where it is used again, ...
        set_size: how many values the largest statistics set holds, by its operators alone; None
            where these do not tell.
        groups: of a group normalization in one operator, how many groups it says there are.
        composite: whether one operator of the framework does it as a whole.
        in_training: whether it was followed in training, as the model has such a mode.
        around: what stands around it.
        condition: how the layer stood when the model was given.
        flow: where its numbers come from and where they go; None where it was read, and in a copy
            for another process.
        probe: runs it again on chosen numbers; None where it was read, and not run, and in such a
            copy.
        observed: what it was given at inference, when the model was run on data that stand for
            those that it is meant for; None where it was not.
    """

    path: str
    type: str
    title: str
    train: NormSpec | None
    infer: NormSpec | None
    input_shape: Shape | None
    declared: Declaration | None = None
    kind: Kind = Kind.NORMALIZATION
    dtype: str = "float32"
    sample_axes: tuple[int, ...] | None = (0,)
    operator: str = ""
    source: str = ""
    verified: bool = False
    max_ulp: float | None = None
    differs: str = ""
    words: str = ""
    dismissed: str = ""
    makers: tuple[Maker, ...] = ()
    more_makers: bool = False
    remembered: NormSpec | None = None
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    call_number: int = 1
    set_size: int | None = None
    groups: int | None = None
    composite: bool = False
    in_training: bool = False
    around: Surroundings = field(default_factory=Surroundings)
    condition: Condition = field(default_factory=Condition)
    flow: Flow | None = None
    probe: Probe | None = None
    observed: Observed | None = None

    def __getstate__(self) -> dict[str, Any]:
        # These two hold the live model, which stays where it is.
        return vars(self) | {"flow": None, "probe": None}

    @cached_property
    def spec(self) -> NormSpec | None:
        """The spec that takes statistics from the input, if any does.

        It is that of training; of a model that has no training mode, that of inference; where
        stored statistics are used in both, the one that takes such statistics.
        """
        declared = self.declared.train if self.declared is not None else None
        given = (self.train, self.infer, declared, self.remembered)
        return next((one for one in given if one is not None and one.pattern is not None), None)

    @property
    def computed(self) -> Declaration | None:
        """What is computed, in the form of a declaration; None where no spec says it."""
        if self.spec is None:
            return None
        said = self.declared
        infer = self.infer or (self.spec.inference() if said is None else said.infer)
        if said is not None and (said.train, said.infer) == (self.spec, infer):
            return said
        return Declaration(self.title, self.spec, infer)

    @cached_property
    def layout(self) -> Layout | None:
        """The spec at this place; None if there is none, or if the shape is not known."""
        if self.spec is None or self.input_shape is None:
            return None
        return self.spec.layout(self.input_shape)

    @property
    def running(self) -> Running | None:
        """The memory of batch statistics that inference uses; None if there is none."""
        declared = self.declared.train if self.declared is not None else None
        specs = (self.train, declared, self.infer)
        return next((one.running for one in specs if one is not None and one.running), None)

    def word(self, dim: int) -> str | None:
        """Which elements along an axis share statistics; None if unknown."""
        if self.layout is None or not -len(self.layout.shape) <= dim < len(self.layout.shape):
            return None
        return axis_word(self.layout, dim % len(self.layout.shape))

    @property
    def channel_axis(self) -> int | None:
        """The axis along which all its makers put their channels; None if they do not agree."""
        axes = {maker.channel_axis for maker in self.makers}
        axis = axes.pop() if len(axes) == 1 else None
        return axis if axis is not None and axis < len(self.input_shape or ()) else None

    @property
    def shared_axes(self) -> tuple[int, ...]:
        """The axes along which elements share statistics, all of them or in groups."""
        rank = len(self.input_shape or ())
        return tuple(axis for axis in range(rank) if self.word(axis) not in (None, "independent"))

    @property
    def scaled_axes(self) -> tuple[int, ...]:
        """The axes along which its learned scale, or else its learned bias, runs."""
        learned = self.spec and (self.spec.scale or self.spec.bias)
        if not learned or self.layout is None:
            return ()
        layout = self.layout
        return tuple(sorted({layout.axes[number].dim for number in layout.named(learned)}))

    def is_called(self, *names: str) -> bool:
        """Whether its layer or its operator is called so, as "layernorm", be it among more."""
        called = re.sub(r"[\W_]", "", f"{self.type} {self.operator}").lower()
        return any(name in called for name in names)

    def subtracts_along(self, axis: int) -> bool:
        """Whether it subtracts what is the same at all places of one index along an axis."""
        return self.spec is not None and self.spec.center and self.word(axis) == "independent"

    def couples_samples(self, spec: NormSpec | None) -> bool | None:
        """Whether, by one of its specs, a sample's output depends on others; None if unknown."""
        if spec is None or self.sample_axes is None:
            return None
        if spec.pattern is None or not self.sample_axes:
            return False
        if self.input_shape is None:
            return spec.parsed.axes[self.sample_axes[0]].shared
        layout = spec.layout(self.input_shape)
        return any(axis_word(layout, axis) != "independent" for axis in self.sample_axes)

    @property
    def samples_independent(self) -> dict[str, bool | None]:
        """For each mode, whether a sample's output depends on no other; None if unknown."""
        coupled = {
            "train": self.couples_samples(self.train),
            "infer": self.couples_samples(self.infer),
        }
        return {mode: None if found is None else not found for mode, found in coupled.items()}

    def axis_name(self, dim: int) -> str:
        """An axis in words: "axis 3 (w)"."""
        name = "" if self.layout is None else self.layout.parts(dim)[0].name
        return f"axis {dim} ({name})" if name.isalpha() else f"axis {dim}"

    def axis_label(self, dim: int) -> str:
        """A name for an axis that a pattern can take: "w", or "d3" where it has none."""
        name = "" if self.layout is None else self.layout.parts(dim)[-1].name
        return name if name.isidentifier() else f"d{dim}"

    def stored(self, role: str) -> NDArray[Any] | None:
        """A stored array of floats; None if there is none."""
        array = self.arrays.get(role)
        return None if array is None or not np.issubdtype(array.dtype, np.floating) else array


@dataclass(frozen=True, eq=False)
class ModelGraph:
    """A model: the places where it normalizes, with what stands around them.

    Attributes:
        file: the name of the file without its folder, so that a report is the same everywhere; it
            is shown through `printable`. "" for a model that came as an object.
        name: of the model.
        format: of the file: "hdf5" or "json"; "live" for a model that came as an object.
        framework: the folder of the framework in `normscope.frameworks`.
        provenance: who wrote the model, and in what form, in words.
        advice: what to write instead, in the words of the framework.
        sites: in the order of computation.
        dismissed: what looked like a normalization and is none.
        samples: for each mode, whether samples see each other.
        unknown_operators: operators of which nothing is known, and how often each occurs.
        details: what else is known of the model, by the framework's own names, as JSON types.
        assumed: what the file does not tell, what is assumed, and how the numbers would differ.
        notes: what the reader of a report should know about how it was found.
        entries: what is done to its inputs before the first product or normalization.
        followed: its operators were followed; else the settings of its layers were read.
        promises: what the model must keep, and what was found of it, for each mode.
        drops_at_inference: where random masks are applied to values at inference, as by a dropout
            in training mode: the path of the layer, once for each place.
        one_mode: nothing tells it a mode: training and inference are the same.
        unread: the names of learned arrays that the model holds and that no mode reads.
        decays: the weight decay of each learned array, by the optimizer that was given or that the
            model is compiled with; empty if there is none.
        array_names: of a file of weights alone, the names of all arrays in it.
        residuals: its residual additions; empty where it was read and not run.
        padding: what tells which positions of its inputs are padded; None if nothing does.
        unused: the normalization layers of a live model that no mode calls.
        against: the model that it is compared with, and its sites in pairs; None if there is none.
    """

    file: str
    name: str
    format: str
    framework: str
    provenance: str
    advice: Advice
    sites: tuple[Site, ...]
    dismissed: tuple[Site, ...] = ()
    samples: Mapping[str, Samples] = field(default_factory=dict)
    unknown_operators: Mapping[str, int] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    promises: tuple[Promise, ...] = ()
    entries: tuple[Entry, ...] = ()
    followed: bool = True
    drops_at_inference: tuple[str, ...] = ()
    one_mode: bool = False
    unread: frozenset[str] = frozenset()
    decays: Mapping[str, float] = field(default_factory=dict)
    array_names: tuple[str, ...] = ()
    residuals: Residuals = field(default_factory=Residuals)
    padding: Padding | None = None
    unused: tuple[UnusedLayer, ...] = ()
    against: Against | None = None

    def counterpart(self, site: Site) -> Site | None:
        """The same site in the model that this one is compared with; None if there is none."""
        return None if self.against is None else self.against.counterpart(site)
