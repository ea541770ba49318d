"""Measured latency of a sub-network and of single operators."""

from __future__ import annotations

import streamlit as st

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.graph import LatencyTable
from nasviz.ui import session
from nasviz.ui.parts import work
from nasviz.ui.parts.controls import keep, kept
from nasviz.ui.parts.subnetworks import Subnetwork

__all__ = ["before_and_after", "table_of"]

BATCH_SIZES = (1, 8, 32, 256)


def before_and_after(subnet: Subnetwork) -> None:
    """Time both networks on demand, and show the estimate of the additive model."""
    if subnet.source.graph is not None:  # the full network cannot be built
        return
    st.markdown("##### Latency")
    state, batch_size = session.current(), _batch_size("subnet")
    key = f"latency {subnet.folder} {subnet.plan.selected} {batch_size}"
    if key not in state.jobs:
        st.caption("Times forward passes of both networks alternately, in a separate process.")
        if not st.button("Measure latency", icon=":material/timer:", key="measure-latency"):
            return
        state.jobs[key] = jobs.submit(
            jobs.TimeSubnet(
                source=subnet.source, folder=subnet.folder, data=subnet.data, batch_size=batch_size
            )
        )
    result: jobs.Comparison | None = work.shown(key, "Measuring latency", cache=state.jobs)
    if result is None:
        return
    full, small, table = result.full, result.subnet, result.table
    saved = small.median_ms / full.median_ms - 1
    st.metric("Forward pass", _milliseconds(small.median_ms), f"{saved:+.1%}", delta_color="inverse")
    st.caption(
        f"Full network {_spread(full)}, sub-network {_spread(small)}: median and half the interquartile range"
        f" of {small.num_repeats} passes, batch of {small.batch_size}, on {small.device}."
    )
    estimate = table.after(subnet.plan) * full.median_ms / table.whole_ms
    st.caption(
        f"Estimate from the sum of the operators: {_milliseconds(estimate)}"
        f" ({estimate / small.median_ms - 1:+.1%})."
    )
    if st.button("Measure again", icon=":material/refresh:", key="measure-again"):
        del state.jobs[key]
        st.rerun()


def table_of(source: NetworkSource) -> LatencyTable | None:
    """Return the latency of every operator, measured on demand; None until it is measured."""
    state, batch_size = session.current(), _batch_size("budget")
    key = f"vertices {source} {batch_size}"
    if key not in state.jobs:
        if not st.button("Measure latency", icon=":material/timer:", key="measure-vertices"):
            return None
        state.jobs[key] = jobs.submit(jobs.TimeVertices(source=source, batch_size=batch_size))
    result: jobs.Timing | None = work.shown(key, "Measuring latency", cache=state.jobs)
    if result is None:
        return None
    table = result.table
    st.caption(
        f"The full network takes {_milliseconds(table.whole_ms)} for a batch of {table.batch_size} on"
        f" {table.device}. The latency of a sub-network is estimated as the sum of its operators."
    )
    return table


def _batch_size(place: str) -> int:
    key = f"latency.batch.{place}"
    chosen = st.segmented_control("Batch size", BATCH_SIZES, default=kept(key, 1), required=True, key=key)
    keep(key, chosen)
    return int(chosen)


def _spread(latency: jobs.Latency) -> str:
    return f"{_milliseconds(latency.median_ms)} ± {latency.iqr_ms / 2:.2g}"


def _milliseconds(value: float) -> str:
    return f"{value:.3g} ms"
