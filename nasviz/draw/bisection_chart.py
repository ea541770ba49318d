"""Chart of a bisection: surviving groups over mu (GSparsity, appendix E)."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from nasviz.draw.charts import SERIES
from nasviz.runs import Trial

__all__ = ["bisection_chart"]


def bisection_chart(trials: Sequence[Trial], target: int) -> go.Figure:
    """Return a chart of survivors over mu, with numbered trials and the target as a dotted line.

    Args:
        trials: Trials in the order in which they were made.
        target: Number of groups that should survive.

    Examples:
        >>> figure = bisection_chart([Trial(0.1, 20), Trial(10.0, 3), Trial(1.0, 12)], 12)
        >>> list(figure.data[0].x), list(figure.data[0].text)
        ([0.1, 1.0, 10.0], ['1', '3', '2'])
    """
    ordered = sorted((trial.mu, trial.survivors, number) for number, trial in enumerate(trials, 1))
    figure = go.Figure()
    figure.add_scatter(
        x=[mu for mu, _, _ in ordered],
        y=[survivors for _, survivors, _ in ordered],
        text=[str(number) for _, _, number in ordered],
        textposition="top center",
        mode="lines+markers+text",
        line={"color": SERIES[0], "shape": "hv"},
        marker={"size": 9},
        hovertemplate="mu = %{x:.4g}: %{y} surviving groups<extra></extra>",
        showlegend=False,
    )
    figure.add_hline(target, line={"dash": "dot", "color": "rgba(128,128,128,0.9)"}, annotation_text="target")
    grid = "rgba(128,128,128,0.18)"
    figure.update_xaxes(title={"text": "μ"}, type="log", gridcolor=grid, zeroline=False)
    figure.update_yaxes(
        title={"text": "surviving groups"}, rangemode="tozero", gridcolor=grid, zeroline=False
    )
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        height=340,
        margin={"l": 10, "r": 10, "t": 20, "b": 10},
    )
    return figure
