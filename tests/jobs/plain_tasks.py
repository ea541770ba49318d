"""Declarations of small tasks that need no torch; `plain_worker` carries them out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from nasviz.jobs import Request


class Answer(BaseModel):
    """Result of all these tasks."""

    value: Any = None
    pid: int = 0


class Echo(Request[Answer]):
    value: int
    weights: Path | None = None

    def files(self) -> list[str] | None:
        return None if self.weights is None else [str(self.weights)]


class EchoAlone(Echo):
    is_isolated: ClassVar[bool] = True


class Chatter(Request[Answer]): ...


class Sleep(Request[Answer]):
    seconds: float


class Wait(Request[Answer]):
    path: Path


class Spawn(Request[Answer]): ...


class Vanish(Request[Answer]):
    def files(self) -> list[str] | None:
        return []


class Grow(Request[Answer]): ...


class Leave(Request[Answer]): ...


class Refuse(Request[Answer]): ...


class Stumble(Request[Answer]):
    by: int


class Nan(Request[Answer]): ...


class Lie(Request[Answer]): ...
