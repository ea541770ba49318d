"""The writer of those processes that record nothing: the first one of a run does it for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasviz.runs import EndState, Evaluation, StepRecord, Writer
from nasviz.runs.requests import Request

__all__ = ["Silent"]


class Silent(Writer):
    """Takes everything that a writer takes, and keeps nothing; it belongs to no run."""

    def __init__(self) -> None:
        pass

    def describe(self, *, total_steps: int, **facts: Any) -> None:
        """Nothing happens."""

    def fact(self, name: str, value: Any) -> None:
        """Nothing happens."""

    def rewind(self, last_step: int) -> None:
        """Nothing happens."""

    def step(self, record: StepRecord) -> list[tuple[int, float]]:
        """Nothing happens."""
        return []

    def scores(self, step: int, structures: Sequence[int], scores: Any) -> None:
        """Nothing happens."""

    def norms(self, step: int, structures: Sequence[int], norms: Any) -> None:
        """Nothing happens."""

    def cosines(self, step: int, structures: Sequence[int], cosines: Any) -> None:
        """Nothing happens."""

    def evaluation(self, evaluation: Evaluation) -> None:
        """Nothing happens."""

    def event(self, step: int, kind: str, text: str, structure: int | None = None) -> None:
        """Nothing happens."""

    def flush(self) -> list[tuple[int, float]]:
        """Nothing happens."""
        return []

    @property
    def request(self) -> Request | None:
        """None: the first process hears what people ask."""
        return None

    def forget_request(self, request: Request | None = None) -> None:
        """Nothing happens."""

    def wait_while_paused(self, step: int) -> Request:
        """Go on at once: whether to is agreed on with the first process, which waits."""
        return "resume"

    def finish(
        self, state: EndState, *, error: str | None = None, result: Mapping[str, Any] | None = None
    ) -> None:
        """Nothing happens."""
