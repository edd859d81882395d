"""`NativeFramework`: from what a caller states to the layer of a framework that computes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.errors import SpecError, missing_package
from normscope.frameworks.native.layer import NativeLayer
from normscope.frameworks.native.limits import Describe, no_layer, refused
from normscope.frameworks.native.weights import Weights, flat_weights, stated_with_weights
from normscope.frameworks.native.whole_axes import WholeAxes
from normscope.notation.shape import Size
from normscope.notation.spec import NormSpec


@dataclass(frozen=True)
class Match:
    """A layer that computes a spec, and what it is given.

    Attributes:
        layer: not made yet.
        axes: the spec on the shape of the input.
        weights: as the caller gave them.
    """

    layer: NativeLayer
    axes: WholeAxes
    weights: Weights | None

    def flat_weights(self) -> dict[str, NDArray[np.float64]]:
        """The weights, checked against the spec, each as one row of numbers."""
        return flat_weights(self.axes, self.weights)


@dataclass(frozen=True)
class NativeFramework:
    """The layers of a framework.

    Attributes:
        name: as its users call it.
        module: the one to import when a layer is made.
        function: the one that makes it, for the message that the module is missing.
        describe: the layer over the axes of a spec, described.
        reach: which statistics sets its layers have.
    """

    name: str
    module: str
    function: str
    describe: Describe
    reach: str

    def match(
        self,
        normalization: NormSpec | str,
        shape: Sequence[Size],
        weights: Weights | None,
        fields_and_sizes: dict[str, Any],
    ) -> Match:
        """The layer that computes what a caller states.

        Args:
            normalization: a `NormSpec`, a layer by name, or a pattern.
            shape: of the input.
            weights: for the layer.
            fields_and_sizes: with a pattern.

        Raises:
            PatternError: the normalization is not stated correctly.
            SpecError: there is no such layer; the message says what is nearest.
            ShapeError: the shape does not meet the pattern.
        """
        spec = stated_with_weights(normalization, fields_and_sizes, weights)
        layout = spec.layout(shape)
        found = self.describe(spec, layout)
        if found is None:
            raise no_layer(self.name, spec, layout, self.describe, self.reach)
        match = Match(found, WholeAxes(spec, layout), weights)
        if found.difference:
            raise self.refused(match, found.difference, found)
        return match

    def refused(self, match: Match, reason: str, nearest: NativeLayer | None) -> SpecError:
        """The error for a layer that comes near, but does not compute the spec."""
        return refused(self.name, match.axes.spec, reason, nearest)

    def imported(self) -> Any:
        """The module of the framework.

        Raises:
            MissingPackageError: it is not installed.
        """
        try:
            return import_module(self.module)
        except ModuleNotFoundError as error:
            raise missing_package(error, self.function) from error
