"""The ablation and the search for mu on the Runs page; the table of a pruning beneath its run."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.runs import BisectionSettings, RunSettings, Store, SweepSettings, SweepStore
from nasviz.runs.ablation import AblationPoint
from nasviz.runs.ablation_folder import AblationFolder
from nasviz.runs.ending import write_end
from tests.ui.test_runs_page import runs, visit

__all__ = ["runs"]


def words(app: AppTest) -> str:
    return " ".join(str(element.value) for element in (*app.markdown, *app.caption))


def kept(place: AblationFolder, count: int) -> None:
    place.write(
        [
            AblationPoint("hapg", "sgl", 10.0 ** -(n + 2), 0, threshold, 0.9, 60, 50, 0.1 * n)
            for n in range(count)
            for threshold in (0.0, 1e-3)
        ]
    )


def test_the_ablation_shows_what_is_kept_and_goes_on(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(jobs, "start_ablation", lambda place, *more: asked.append((place.folder.name, *more)))
    fresh = visit("Ablation")
    assert [button.label for button in fresh.button if button.key == "ablation.go"] == ["Start"]
    kept(AblationFolder.of(runs, 60), 3)
    app = visit("Ablation", **{"ablation.seeds": 1})
    assert len(app.get("plotly_chart")) == 1
    assert "3 of 36 trainings" in str(app.get("progress")[0].proto)
    (go,) = [button for button in app.button if button.key == "ablation.go"]
    assert go.label == "Resume"
    go.click().run(timeout=60)
    assert asked == [("60-epochs", 1, 60)]


def test_a_bisection_shows_its_curve_and_what_it_has_found(runs: Path) -> None:
    base = RunSettings.of(network=NetworkSource("demonet"), optimizer="gsparsity")
    sweep = SweepStore(runs).create(SweepSettings(base, bisection=BisectionSettings(3, (0.1, 1.0))))
    for index, survivors in enumerate((6, 2, 3)):
        run = Store(runs).create(sweep.settings_at(index), run_id=sweep.run_id(index), parent=sweep.id)
        result = {"survivors": survivors, "is_valid": True, "accuracy_full": 0.8, "accuracy_subnet": 0.8}
        write_end(run.folder, "done", result=result)
    app = visit("Sweeps")
    assert not app.exception
    assert "**μ = 0.55** keeps **3** groups (target: 3)." in words(app)
    assert sweep.state == "done"
    assert [row["groups kept"] for row in app.dataframe[0].value.to_dict("records")] == ["6", "2", "3"]


def test_a_pruning_is_told_before_and_at_each_mark(runs: Path) -> None:
    rows = [{"threshold": t, "pruned": n, "accuracy": a} for t, n, a in ((1e-6, 4, 0.9), (0.5, 9, 0.4))]

    def script(run: object) -> None:
        from nasviz.ui.parts import figures

        figures.pruning_table(run)

    run = Store(runs).create(RunSettings.of(network=NetworkSource("demonet"), optimizer="gsparsity"))
    write_end(run.folder, "done", result={"pruning": {"accuracy": 0.9, "groups": 12, "thresholds": rows}})
    app = AppTest.from_function(script, args=(run,))
    app.run(timeout=60)
    found = app.dataframe[0].value.to_dict("records")
    assert [row["threshold"] for row in found] == ["before pruning", "1e-06", "0.5"]
    assert [row["pruned groups"] for row in found] == [0, 4, 9]
    assert found[2]["change"] == pytest.approx(-50.0)
