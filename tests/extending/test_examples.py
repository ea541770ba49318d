"""The worked examples of extensions, in the processes that people run: nothing in nasviz knows them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

import nasviz
from nasviz import catalog, extensions, saliency, settings
from nasviz.errors import InvalidSettingError
from nasviz.runs import RunSettings
from tests.warm_python import run_module

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "extending"
NAMES = ("magnitude_pruning", "norm_saliency", "own_dhspg")
FILES = [str(EXAMPLES / f"{name}.py") for name in NAMES]
GIVEN = [f"--extension={file}" for file in FILES]
NETWORK = ["--model", "demonet", "--input", "1,8,8", "--set", "width=0.1"]
SMALL = [*NETWORK, "--epochs", "1", "--batch-size", "256"]


def command(*words: object) -> str:
    done = run_module("nasviz", *words, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def extended(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use the examples in this process, and forget them afterwards."""
    monkeypatch.setenv(extensions.VARIABLE, "")
    monkeypatch.setattr(extensions, "_loaded", set(extensions._loaded))
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = dict(settings.METHODS), dict(catalog.SALIENCIES), dict(saliency.SALIENCIES)
    for file in FILES:
        extensions.load_extension(file)
    yield
    tables: tuple[dict[str, object], ...] = (settings.METHODS, catalog.SALIENCIES, saliency.SALIENCIES)
    for table, before in zip(tables, known, strict=True):
        table.clear()
        table.update(before)
    for name in NAMES:
        del sys.modules[name]


@pytest.fixture(scope="module")
def traced() -> tuple[object, object]:
    model, images = nasviz.zoo.create("demonet", width=0.1)
    net = nasviz.trace(model, images)
    return net, nasviz.search_space(net)


def test_a_method_of_ones_own_trains_in_a_sweep_and_is_reported(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    own = ["--method", "magnitude_pruning", "--target-sparsity", 2, "--projection-steps", 3]
    command("sweep", *GIVEN, *SMALL, *own, "--grid", "ramp=1,3", "--runs", runs, "--quiet")
    listed = json.loads(command("runs", "list", *GIVEN, "--runs", runs, "--json"))
    assert len(listed) == 2
    for row in listed:
        assert row["settings"]["method"]["name"] == "magnitude_pruning"
        assert len(row["result"]["selected"]) == 2
        assert set(row["result"]["zeroed_by"].values()) == {"magnitude"}
        assert row["result"]["max_relative_error"] < 1e-4
    assert {row["settings"]["method"]["ramp"] for row in listed} == {1.0, 3.0}
    report, record = tmp_path / "report.html", tmp_path / "record.json"
    command("export", *GIVEN, listed[0]["id"], "--runs", runs, "--html", report, "--record", record)
    assert "DemoNet" in report.read_text()
    assert "became zero (magnitude)" in record.read_text()
    # Without the extension, its runs are listed with the reason why they cannot be read.
    (first, _) = json.loads(command("runs", "list", "--runs", runs, "--json"))
    assert "magnitude_pruning" in first["problem"]


def test_a_saliency_of_ones_own_ranks_a_run(tmp_path: Path) -> None:
    own = ["--target-sparsity", 1, "--saliency", "norm", "--warmup-steps", 1, "--projection-steps", 1]
    command("train", *GIVEN, *SMALL, *own, "--runs", tmp_path, "--quiet")
    (row,) = json.loads(command("runs", "list", *GIVEN, "--runs", tmp_path, "--json"))
    assert row["settings"]["method"]["saliency"] == "norm"
    assert row["state"] == "done"


def test_the_server_reads_extensions_without_torch() -> None:
    code = (
        "import sys; from nasviz import extensions;"
        f" [extensions.load_extension(file) for file in {FILES!r}];"
        " from nasviz.settings import METHODS, RunSettings; from nasviz.catalog import step_saliencies;"
        " assert 'magnitude_pruning' in METHODS and 'norm' in step_saliencies();"
        " RunSettings.of(network='demonet', saliency='norm'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_an_entry_point_of_an_installed_package_is_enough(tmp_path: Path) -> None:
    (tmp_path / "my_scores.py").write_text((EXAMPLES / "norm_saliency.py").read_text())
    info = tmp_path / "my_scores-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-scores\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nasviz.saliencies]\nnorm = my_scores\n")
    code = (
        "import nasviz.saliency; print(nasviz.saliency.find('norm').needs_gradient);"
        " from nasviz.settings import METHODS;"
        " print('norm' in METHODS['h2spg'].fields()['saliency'].choices)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["False", "True"], done.stderr


@pytest.mark.usefixtures("extended")
def test_the_form_asks_for_the_settings_of_a_method_of_ones_own() -> None:
    def script() -> None:
        from nasviz.ui.pages import search_and_train

        search_and_train._method_settings(search_and_train._method("images"), {})

    app = AppTest.from_function(script).run(timeout=60)
    (choice,) = [box for box in app.selectbox if box.label == "Optimizer"]
    assert "Magnitude pruning" in choice.options
    app = choice.select("magnitude_pruning").run(timeout=60)
    assert not app.exception
    assert "Ramp" in {field.label for field in app.number_input}


@pytest.mark.usefixtures("extended")
def test_a_saliency_is_taken_by_name_or_as_a_function(traced: tuple[object, object]) -> None:
    net, space = traced
    steps = {"target_sparsity": 1, "warmup_steps": 2, "projection_steps": 2, "lr": 0.1}
    named = nasviz.optim.create("h2spg", net, space, saliency="norm", **steps)
    own = nasviz.optim.create("h2spg", net, space, saliency=lambda reductions: reductions.norm, **steps)
    for optimizer in (named, own):
        optimizer.zero_grad()
        net(torch.ones(2, 1, 28, 28)).sum().backward()
        with torch.no_grad():
            optimizer._scores.around(lambda: None, 0, optimizer.param_groups)
    assert named.scores == own.scores == pytest.approx(saliency.score("norm", net, space))


@pytest.mark.usefixtures("extended")
def test_an_optimizer_of_a_known_family_is_one_file(traced: tuple[object, object]) -> None:
    net, space = traced
    own = nasviz.optim.create(
        "connected_dhspg", net, space, target_sparsity=1, warmup_steps=2, projection_steps=2
    )
    assert own.is_hierarchical
    assert isinstance(own, nasviz.optim.DHSPG)
    with pytest.raises(InvalidSettingError, match="share of all steps"):
        nasviz.optim.create("magnitude_pruning", net, space, projection_steps=0.5)


@pytest.mark.usefixtures("extended")
def test_a_name_is_registered_once() -> None:
    kind = settings.METHODS["magnitude_pruning"]
    assert nasviz.register_method(kind) is kind  # a module that is imported again
    with pytest.raises(InvalidSettingError, match="magnitude_pruning"):
        nasviz.register_method(type("Other", (kind,), {"__module__": "other"}))
    with pytest.raises(InvalidSettingError, match="norm"):
        nasviz.register_saliency("norm")(lambda reductions: reductions.norm)


def test_settings_of_the_example_are_checked_like_others(extended: None) -> None:
    with pytest.raises(InvalidSettingError, match="ramp"):
        RunSettings.of(network="demonet", method="magnitude_pruning", ramp=0.5)
    with pytest.raises(InvalidSettingError, match="available for: magnitude_pruning"):
        RunSettings.of(network="demonet", method="hspg", ramp=2.0)
