"""What goes to zero: the answer of a selection, in tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nasviz.errors import InvalidSettingError
from nasviz.optim.groups import TensorGroup, merge

__all__ = ["Select", "Selection"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Redundant structures, and everything that must be zero with them."""

    selected: tuple[int, ...]
    """Chosen structures: these count towards K."""
    orphaned: tuple[int, ...] = ()
    """Structures that get no input any more once the selected ones are gone."""
    members: Mapping[int, TensorGroup] = field(default_factory=dict)
    """For each of both: what goes to zero with it."""
    remainder: TensorGroup = field(default_factory=TensorGroup)
    """What belongs to no single structure, but must be zero once all of them are."""
    is_valid: bool = True
    """Whether what is left stays connected; only a selection without hierarchy can lose that."""

    def __post_init__(self) -> None:
        named = {*self.selected, *self.orphaned}
        if len(named) < len(self.selected) + len(self.orphaned) or named != set(self.members):
            raise InvalidSettingError(
                f"a selection names each structure once, with its tensors: got selected {self.selected},"
                f" orphaned {self.orphaned} and tensors of {tuple(self.members)}"
            )

    @property
    def group(self) -> TensorGroup:
        """Everything that must be zero in the end."""
        return merge([*self.members.values(), self.remainder])


Select = Callable[[Mapping[int, float]], Selection]
"""Scores of all structures to the structures that go; asked when the warm-up ends.

Structures that an earlier selection has brought to zero score -inf: they must be selected again.
"""
