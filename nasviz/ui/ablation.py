"""The ablation of sparse optimizers on digits, on the Runs page: start, progress, stop, four plots."""

from __future__ import annotations

import streamlit as st

from nasviz import jobs
from nasviz.draw.ablation_chart import ablation_chart
from nasviz.runs.ablation import TRAININGS_A_SEED, points_to_csv
from nasviz.runs.ablation_folder import AblationFolder
from nasviz.ui import frame
from nasviz.ui.controls import keep, kept
from nasviz.ui.options import options

__all__ = ["ablation"]

REFRESH_S = 1.0


def ablation() -> None:
    """Ask how much is trained; then watch it, or look at what is there."""
    st.caption(
        "A perceptron 64-40-20-10 learns scikit-learn's digits with a penalty on its weights, whose groups"
        " are neurons and input features: four optimizers under the sparse group lasso, and HAPG under three"
        " penalties, over λ (SparseNAS, figure 3). Each training takes some seconds; all results are kept."
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
    word = "Go on" if done else "Start"
    is_left = done < seeds * TRAININGS_A_SEED
    if (
        not is_busy
        and is_left
        and st.button(word, type="primary", icon=":material/play_arrow:", key="ablation.go")
    ):
        jobs.start_ablation(place, seeds, epochs)
        st.rerun()


def _done(place: AblationFolder, seeds: int) -> int:
    """How many of the trainings are there."""
    return len({(p.seed, p.series, p.strength) for p in place.points if p.seed < seeds})


@frame.tell_errors
def _watch(seeds: int, epochs: int, was_busy: bool) -> None:
    place = AblationFolder.of(options().runs, epochs)
    if (place.is_active or jobs.is_starting(place)) != was_busy:
        st.rerun()
    done, total = _done(place, seeds), seeds * TRAININGS_A_SEED
    if place.is_active and place.is_asked_to_stop:
        words = f"{done} of {total} trainings; stops after this one"
    else:
        words = f"{done} of {total} trainings"
    if done or was_busy:
        st.progress(min(1.0, done / total), text=words)
    else:
        st.caption(f"{total} trainings, one after the other.")
    points = [point for point in place.points if point.seed < seeds]
    if not points:
        return
    st.plotly_chart(ablation_chart(points), key=f"ablation.{seeds}.{epochs}.{done}", theme="streamlit")
    st.caption(
        "Means and deviations over the seeds. Weights of SGD and Adam count as zero up to 0.001, those of"
        " HAPG and AdamHAPG only where they are exactly zero."
    )
    text, name = points_to_csv(place.points), place.table.name
    st.download_button("CSV", text, name, "text/csv", icon=":material/table:", key="ablation.csv")
