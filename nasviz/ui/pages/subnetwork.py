"""The Sub-network page: full network and sub-network side by side, with their numerical comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from nasviz.catalog import metric_of
from nasviz.catalog.metrics import titled
from nasviz.draw import GraphView
from nasviz.draw.labels import clean, count, power_of_ten, size
from nasviz.draw.lessons import construction_frames
from nasviz.graph import SearchSpace
from nasviz.ui import frame
from nasviz.ui.parts import figures, follow_up, genotypes, graphs, latency, plans, subnetworks
from nasviz.ui.parts.subnetworks import Subnetwork

__all__ = ["compare"]

VIEWS = ("Segments", "Operators")
STEPS = ("Zeroed", "1 · Erase", "2 · Slice", "3 · Clean up")
"""Zeroed network, and the network after each pass of the construction."""
REASONS = {
    "progressive": "by progressive projection",
    "half-space": "by half-space projection",
    "end of projection": "at the end of the projection",
}
"""Text of the recorded reasons; other reasons are shown verbatim."""


@frame.Page(
    "Sub-network",
    6,
    icon=":material/content_cut:",
    invitation="View the sub-network",
    lead="The full network and the constructed sub-network, side by side.",
    group="Search",
)
def compare() -> None:
    """Let the user choose a sub-network, and compare it with the full network."""
    subnet = subnetworks.choose("subnet")
    if subnet is None:
        return
    _numbers(subnet)
    _graphs(subnet)
    if subnet.run is not None and subnet.folder.parent == subnet.run.folder:  # not for a manual selection
        genotypes.of_run(subnet.run, subnet.space)
        figures.of_run(subnet.run)
    left, right = st.columns([1.4, 1], gap="large")
    with left:
        st.markdown("##### Construction")
        plans.plan_story(subnet.space, subnet.plan)
        if words := zeroed_words(subnet.report):
            st.caption(words)
    with right:
        _checks(subnet)
        latency.before_and_after(subnet)
    _widths(subnet)
    follow_up.next_steps(subnet)
    frame.next_steps("Export")


def zeroed_words(report: Mapping[str, Any]) -> str:
    """Summarize what set structures and channel groups to zero in a run; empty if nothing is zero.

    Examples:
        >>> zeroed_words({"zeroed_by": {"3": "progressive"}, "channels_zeroed_by": {"half-space": [1, 2]}})
        'Became zero: 1 structure by progressive projection, 2 channel groups by half-space projection.'
    """
    structures = Counter(report.get("zeroed_by", {}).values())
    channels = {reason: len(groups) for reason, groups in report.get("channels_zeroed_by", {}).items()}
    counted = [
        f"{count:,} {what}{'s' * (count > 1)} {REASONS.get(reason, f'by {reason}')}"
        for what, reasons in (("structure", structures), ("channel group", channels))
        for reason, count in reasons.items()
    ]
    return f"Became zero: {', '.join(counted)}." if counted else ""


def _numbers(subnet: Subnetwork) -> None:
    with st.container(border=True):
        exact, sizes, work_done, weights, accuracy = st.columns([1.9, 1, 1, 1, 1.2], gap="medium")
        error = float(subnet.report["max_relative_error"])
        exact.container(key="exactness").metric(
            "Difference from the zeroed full network",
            "0, exactly" if error == 0 else power_of_ten(error),
            help="Largest difference of any output relative to the largest value, over all checks.",
        )
        effect = subnet.report.get("effect")
        if effect == 0:
            exact.caption("The removed structures had no effect on the outputs.")
        elif effect is not None:
            exact.caption(
                f"For comparison, the removed structures with nonzero weights change the outputs by"
                f" {effect:.2g} of their size."
            )
        _size(sizes, "Parameters", subnet.plan.params_before, subnet.plan.params_after)
        _size(work_done, "MACs", subnet.plan.macs_before, subnet.plan.macs_after)
        if subnet.sizes is not None:
            _size(weights, "Weights file", *subnet.sizes, in_words=size, exact=size)
        if subnet.accuracies is not None:
            full, small = subnet.accuracies
            metric = metric_of(subnet.report)
            change = f"{(small - full) * 100:+.2f} points" if metric.is_share else f"{small - full:+.3g}"
            accuracy.metric(
                metric.capitalized,
                metric.text(small),
                change if small != full else "unchanged",
                delta_color="off" if small == full else "normal" if metric.higher_is_better else "inverse",
                delta_arrow="auto" if small != full else "off",
                help=f"{metric.capitalized} of the sub-network directly after construction.",
            )
            accuracy.caption(f"Full network: {metric.text(full)}. Validation data, without fine-tuning.")
            for name, value in (subnet.report.get("metrics_subnet") or {}).items():
                if name != metric.name and (other := titled(name)) is not None:
                    accuracy.caption(f"{other.capitalized}: {other.text(value)}.")
            first, last = (subnet.report.get(f"perplexity_{name}") for name in ("full", "subnet"))
            if first is not None and last is not None:  # text data
                accuracy.caption(f"Perplexity {first:.2f} → {last:.2f}, starting at a zero state.")
            before = subnetworks.accuracy_before(subnet)
            if before is not None:
                accuracy.caption(f"Before fine-tuning: {metric.text(before)}.")


def _size(
    column: st.delta_generator.DeltaGenerator,
    title: str,
    before: int,
    after: int,
    *,
    in_words: Callable[[int], str] = count,
    exact: Callable[[int], str] = "{:,}".format,
) -> None:
    saved = f"{after / before - 1:+.1%}" if after != before else "unchanged"
    column.metric(
        title,
        in_words(after),
        saved,
        delta_color="inverse" if after != before else "off",
        delta_arrow="auto" if after != before else "off",
    )
    column.caption(f"{exact(before)} → {exact(after)}")


def _graphs(subnet: Subnetwork) -> None:
    with st.container(horizontal=True, gap="large"):
        way = st.segmented_control(
            "Show", VIEWS, default="Segments", required=True, key="subnet.view", label_visibility="collapsed"
        )
        step = st.segmented_control(
            "Construction",
            STEPS,
            default=STEPS[-1],
            required=True,
            key="subnet.step",
            label_visibility="collapsed",
        )
    key = str(subnet.folder)
    view = _view(f"full {key} {subnet.space.collapse}", subnet.space, way)
    frames = list(construction_frames(view, subnet.space, subnet.plan))
    shown = frames[STEPS.index(str(step))]
    st.markdown(f"{shown.text} :small[:gray[{shown.source}]]")
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("##### Full network")
        graphs.picture(view, key="full-graph", overlay=shown.overlay, sync="subnet")
    with right:
        st.markdown("##### Sub-network")
        small = subnetworks.small_space(subnet)
        if small is not None:
            small_view = _view(f"small {key} {subnet.plan.selected} {subnet.plan.gates}", small, way)
            graphs.picture(small_view, key="small-graph", sync="subnet")


def _view(key: str, space: SearchSpace, way: str | None) -> GraphView:
    if way == "Operators":
        return graphs.trace_of(key, None, space)
    return graphs.segments_of(key, space)


def _widths(subnet: Subnetwork) -> None:
    """Show the channels of every slimmed operator before and after."""
    if not subnet.plan.widths:
        return
    st.markdown("##### Channel widths")
    st.dataframe(
        [
            {
                "operator": clean(subnet.space.trace[vertex].name),
                "channels before": before,
                "channels after": after,
                "kept": after / before,
            }
            for vertex, (before, after) in subnet.plan.widths.items()
        ],
        hide_index=True,
        column_config={"kept": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)},
    )
    st.caption(
        f"{len(subnet.plan.channels):,} of {len(subnet.space.channels):,} channel groups were zero and are"
        " removed. Operators whose outputs are added lose the same channels."
    )


def _checks(subnet: Subnetwork) -> None:
    checks = subnet.report.get("checks")
    if not checks:
        return
    st.markdown("##### Numerical checks")
    st.dataframe(
        [
            {
                "check": check["name"],
                "difference": power_of_ten(check["relative_error"]),
                "effect": "-" if check["effect"] is None else power_of_ten(check["effect"]),
            }
            for check in checks
        ],
        hide_index=True,
    )
    st.caption(
        "Difference: zeroed full network vs. sub-network. Effect: full network vs. zeroed full network, at"
        " the first vertex that differs."
    )
