"""Where the runs of a sweep work: slots of this machine, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nasviz.errors import InvalidSettingError
from nasviz.jobs.scheduling import Listener, Scheduler
from nasviz.jobs.slots import slots_of
from nasviz.runs import Sweep

__all__ = ["ENGINES", "scheduler_of"]

ENGINES = ("local", "ray")


def scheduler_of(
    sweep: Sweep,
    engine: str = "local",
    *,
    slots: int | None = None,
    retry_failed: bool = False,
    listener: Listener = lambda: None,
    trust: Iterable[str | Path] | None = None,
) -> Scheduler:
    """Return what schedules a sweep, to be used in a `with`.

    Args:
        sweep: The sweep.
        engine: A name in `ENGINES`.
        slots: Runs at the same time; None for as many as there is room for.
        retry_failed: Whether runs that failed are tried again.
        listener: Called at every look.
        trust: Folders that user code may be imported from; None: those that the sweep names itself, where
            this user has made it.
        listener: Called at every look.

    Raises:
        InvalidSettingError: There is no such engine, or Ray is not installed.
    """
    if engine == "ray":
        from nasviz.jobs.ray_engine import RayScheduler

        return RayScheduler(sweep, slots, retry_failed=retry_failed, listener=listener, trust=trust)
    if engine != "local":
        raise InvalidSettingError(f"engine={engine!r}: choose one of {', '.join(ENGINES)}")
    places = slots_of(sweep.settings, slots)
    return Scheduler(sweep, places, retry_failed=retry_failed, listener=listener, trust=trust)
