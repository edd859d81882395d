"""The whole axes of an array, of which native layers speak, and what a spec does with each."""

from __future__ import annotations

from dataclasses import dataclass

from normscope.errors import ShapeError
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec


@dataclass(frozen=True)
class WholeAxes:
    """The axes of an array: inside the statistics sets, outside, or split between them.

    >>> from normscope import spec
    >>> group = spec("b [h w] (g [c])", g=4, scale="g c", bias="g c")
    >>> axes = WholeAxes(group, group.layout((2, 5, 5, 8)))
    >>> axes.kept, axes.shared, axes.split, axes.learned
    ((0,), (1, 2), (3,), (3,))
    """

    spec: NormSpec
    layout: Layout

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.layout.shape)

    @property
    def shared(self) -> tuple[int, ...]:
        """The axes that lie inside the statistics sets as a whole."""
        return tuple(dim for dim in range(self.rank) if self._marks(dim) == {True})

    @property
    def kept(self) -> tuple[int, ...]:
        """The axes that tell statistics sets apart as a whole."""
        return tuple(dim for dim in range(self.rank) if self._marks(dim) <= {False})

    @property
    def split(self) -> tuple[int, ...]:
        """The axes that lie inside in part."""
        return tuple(dim for dim in range(self.rank) if self._marks(dim) == {True, False})

    @property
    def shares_last(self) -> bool:
        """True if the shared axes are the last ones, and no axis is split."""
        count = len(self.shared)
        return not self.split and self.shared == tuple(range(self.rank - count, self.rank))

    @property
    def learned(self) -> tuple[int, ...] | None:
        """The axes along which scale and bias vary, in the order of the array.

        None where there is neither, or where these are not whole axes in that order, or not the
        same for both.
        """
        scale, bias = self._whole(self.spec.scale), self._whole(self.spec.bias)
        if self.spec.scale is None:
            return bias
        return scale if self.spec.bias is None or scale == bias else None

    @property
    def has_parameters(self) -> bool:
        """True if there is a scale or a bias."""
        return self.spec.scale is not None or self.spec.bias is not None

    def learns_along(self, *choices: tuple[int, ...]) -> bool:
        """True if the parameters vary along one of these lists of axes, or there are none."""
        return not self.has_parameters or self.learned in choices

    def groups(self, dim: int) -> int | None:
        """The number of groups of neighbours that axis `dim` is cut into; None if cut otherwise."""
        parts = [part for part in self.layout.parts(dim) if part.size != 1]
        inner = next((i for i, part in enumerate(parts) if part.shared), len(parts))
        if not all(part.shared for part in parts[inner:]):
            return None
        count = 1
        for part in parts[:inner]:
            if part.size is None:
                return None
            count *= part.size
        return count

    def length(self, dim: int) -> int:
        """The length of an axis.

        Raises:
            ShapeError: it is not known.
        """
        size = self.layout.shape[dim]
        if size is None:
            raise ShapeError(
                f"the length of axis {dim} must be known here",
                self.layout.pattern.text,
                self.layout.shape,
            )
        return size

    def _marks(self, dim: int) -> set[bool]:
        return {part.shared for part in self.layout.parts(dim)}

    def _whole(self, names: str | None) -> tuple[int, ...] | None:
        """The axes that `names` cover, if these are whole axes in the order of the array."""
        if names is None:
            return None
        atoms = self.layout.named(names)
        dims = tuple(dict.fromkeys(self.layout.axes[i].dim for i in atoms))
        all_atoms = [i for i, axis in enumerate(self.layout.axes) if axis.dim in dims]
        return dims if list(atoms) == all_atoms else None
