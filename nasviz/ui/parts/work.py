"""Jobs of worker processes on a page: progress bar, stop button and error message."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, TypeVar

import streamlit as st

from nasviz.jobs import Job
from nasviz.ui.parts.escaping import inert

__all__ = ["require", "shown"]

PATIENCE_S = 1.0
"""Wait before a progress bar is shown, so that it does not flicker for short jobs."""
REFRESH_S = 0.3
ResultT = TypeVar("ResultT")


def require(
    key: str, start: Callable[[], Job[ResultT]], title: str, *, cache: MutableMapping[str, Job[Any]]
) -> ResultT:
    """Return the result of a job; until it is ready, show its progress and stop the page."""
    if key not in cache:
        cache[key] = start()
    result: ResultT | None = shown(key, title, cache=cache)
    if result is None:
        st.stop()
    return result


def shown(key: str, title: str, *, cache: MutableMapping[str, Job[Any]]) -> Any:
    """Return the result of a started job, or None after showing its state."""
    job = cache[key]
    job.wait(PATIENCE_S)
    if job.state == "running":
        _watch(job, title)
    elif job.state == "done":
        return job.result
    else:
        if job.state == "failed":
            st.error(f"{title} failed: {inert(job.error or '')}", icon=":material/error:")
        else:
            st.info(f"{title} was stopped.", icon=":material/block:")
        if st.button("Try again", key=f"again.{key}", icon=":material/refresh:"):
            del cache[key]
            st.rerun()
    return None


@st.fragment(run_every=REFRESH_S)
def _watch(job: Job[Any], title: str) -> None:
    if job.state != "running":
        st.rerun()
    text = f"{title}: {inert(job.message)} …"
    if job.progress is None:
        st.markdown(f":material/progress_activity: {text}")
    else:
        st.progress(min(1.0, job.progress), text=text)
    if st.button("Stop", key=f"stop.{id(job)}", icon=":material/stop:"):
        job.cancel()
