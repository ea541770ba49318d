"""Ablation of sparse optimizers on digits, on the Runs page."""

from __future__ import annotations

import streamlit as st

from nasviz import jobs
from nasviz.draw.run_charts import ablation_chart
from nasviz.runs.ablation import TRAININGS_PER_SEED, points_to_csv
from nasviz.runs.ablation_folder import AblationFolder
from nasviz.ui import frame
from nasviz.ui.options import options
from nasviz.ui.parts.controls import keep, kept

__all__ = ["ablation"]

REFRESH_S = 1.0


def ablation() -> None:
    """Ask for seeds and epochs, and show progress and results."""
    st.caption(
        "Trains a 64-40-20-10 perceptron on scikit-learn's digits with a penalty on groups of weights"
        " (neurons and input features): four optimizers with the sparse group lasso, and HAPG with three"
        " penalties, over λ (SparseNAS, figure 3). Each training takes a few seconds; all results are kept."
    )
    first, second, rest = st.columns([1, 1, 2], vertical_alignment="bottom")
    seeds = int(first.number_input("Seeds", 1, 100, kept("ablation.seeds", 3), key="ablation.n"))
    epochs = int(second.number_input("Epochs", 1, 10_000, kept("ablation.epochs", 60), key="ablation.e"))
    keep("ablation.seeds", seeds)
    keep("ablation.epochs", epochs)
    place = AblationFolder.of(options().runs, epochs)
    is_busy = place.is_active or jobs.is_starting(place)
    with rest:
        _buttons(place, seeds, epochs, is_busy)
    st.fragment(_watch, run_every=REFRESH_S if is_busy else None)(seeds, epochs, is_busy)


def _buttons(place: AblationFolder, seeds: int, epochs: int, is_busy: bool) -> None:
    done = _done(place, seeds)
    if is_busy and st.button("Stop", icon=":material/stop:", key="ablation.stop"):
        if place.is_active:
            place.ask_to_stop()
        st.rerun()
    word = "Resume" if done else "Start"
    is_left = done < seeds * TRAININGS_PER_SEED
    if (
        not is_busy
        and is_left
        and st.button(word, type="primary", icon=":material/play_arrow:", key="ablation.go")
    ):
        jobs.start_ablation(place, seeds, epochs)
        st.rerun()


def _done(place: AblationFolder, seeds: int) -> int:
    """Return the number of finished trainings."""
    return len({(p.seed, p.series, p.strength) for p in place.points if p.seed < seeds})


@frame.handle_errors
def _watch(seeds: int, epochs: int, was_busy: bool) -> None:
    place = AblationFolder.of(options().runs, epochs)
    if (place.is_active or jobs.is_starting(place)) != was_busy:
        st.rerun()
    done, total = _done(place, seeds), seeds * TRAININGS_PER_SEED
    if place.is_active and place.is_asked_to_stop:
        words = f"{done} of {total} trainings; stopping after the current one"
    else:
        words = f"{done} of {total} trainings"
    if done or was_busy:
        st.progress(min(1.0, done / total), text=words)
    else:
        st.caption(f"{total} trainings, run sequentially.")
    points = [point for point in place.points if point.seed < seeds]
    if not points:
        return
    st.plotly_chart(ablation_chart(points), key=f"ablation.{seeds}.{epochs}.{done}", theme="streamlit")
    st.caption(
        "Means and standard deviations over the seeds. Weights count as zero up to 0.001 for SGD and Adam,"
        " and only if exactly zero for HAPG and AdamHAPG."
    )
    text, name = points_to_csv(place.points), place.table.name
    st.download_button("CSV", text, name, "text/csv", icon=":material/table:", key="ablation.csv")
