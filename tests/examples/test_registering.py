"""The worked examples of networks and data sets: declared in one file, known everywhere."""

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
from nasviz import extensions, jobs
from nasviz.catalog import DATASETS, FACTS, NETWORKS, NetworkSource, register_dataset, register_network
from nasviz.cli import main
from nasviz.data import open_data
from nasviz.errors import DataError, InvalidSettingError, NasvizWarning
from nasviz.runs import RunSettings, SweepStore

ROOT = Path(__file__).parents[2]
NETWORK, DATASET = (str(ROOT / "examples" / "extending" / name) for name in ("network.py", "dataset.py"))


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Load both examples; leave catalog, modules and environment as they were."""
    tables = (NETWORKS, DATASETS, FACTS)
    before, path, modules = [dict(table) for table in tables], list(sys.path), set(sys.modules)
    monkeypatch.setattr(extensions, "_loaded", set())
    monkeypatch.setenv(extensions.VARIABLE, "")
    for example in (NETWORK, DATASET):
        nasviz.load_extension(example)
    yield
    for table, old in zip(tables, before, strict=True):
        table.clear()
        table.update(old)
    sys.path[:] = path
    for name in {"network", "dataset", "acme"} - modules:
        sys.modules.pop(name, None)


def test_a_registered_network_is_in_the_zoo_with_its_settings() -> None:
    assert "two_branches" in nasviz.zoo.names()
    model, inputs = nasviz.zoo.create("two_branches", width=3, num_classes=4)
    assert model(*inputs).shape == (2, 4)
    with pytest.raises(InvalidSettingError):
        NetworkSource("two_branches", settings={"width": 0})


def test_a_registered_data_set_is_opened_by_name() -> None:
    opened = open_data("stripes", seed=1)
    assert (opened.facts.num_classes, opened.facts.num_train, opened.facts.size) == (2, 128, 12)
    images, labels = opened.split((1, 12, 12)).train.batch(torch.arange(4))
    assert images.shape == (4, 1, 12, 12)
    assert labels.max() <= 1
    assert RunSettings(network="two_branches", data="stripes").data == "stripes"


def test_command_line_and_workers_know_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "two_branches", "--set", "width=4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removable"] == 2
    words = "--model two_branches --set width=4 --data stripes --target-sparsity 1 --device cpu --epochs 1"
    assert main(["sweep", *words.split(), "--grid", "seed=0", "--runs", str(tmp_path)]) == 0
    (summary,) = SweepStore(tmp_path).list()
    (run,) = SweepStore(tmp_path).open(summary.id).runs()
    assert run is not None
    assert run.state == "done"
    assert run.end is not None
    assert run.end.result["max_relative_error"] < 1e-5


def test_the_app_offers_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nasviz.ui.options import options
    from nasviz.ui.serving import SCRIPT

    monkeypatch.setattr(jobs, "warm_up", lambda: None)
    monkeypatch.setattr(jobs, "submit", lambda request: jobs.Job(request.task_name()))
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(tmp_path)])
    options.cache_clear()
    app = AppTest.from_file(str(SCRIPT), default_timeout=120).run().switch_page("pages/Model.py").run()
    options.cache_clear()
    assert not app.exception
    assert app.button("open.two_branches").label == "Open"
    assert "Two branches" in app.selectbox("zoo.name").options


def test_the_server_reads_a_declaration_without_torch() -> None:
    code = "import nasviz, sys; nasviz.load_extension(sys.argv[1]); nasviz.load_extension(sys.argv[2])"
    code += "; from nasviz.catalog import NETWORKS"
    code += "; sys.exit('two_branches' not in NETWORKS or 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, NETWORK, DATASET], capture_output=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr.decode()


def test_an_installed_package_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[nasviz.networks]\nacme = acme\n[nasviz.datasets]\nbroken = no_such_module\n"
    )
    (tmp_path / "acme.py").write_text(
        "import nasviz\n@nasviz.register_network()\ndef acme_net(num_classes, in_channels):\n    ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.warns(NasvizWarning, match="no_such_module"):
        extensions.load_extensions()
    assert NETWORKS["acme_net"].input_shape == (3, 32, 32)
    extensions.load_extensions()  # each once: no second warning


def test_what_cannot_be_registered_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="already a name"):
        register_network(name="demonet")(lambda num_classes, in_channels: None)
    with pytest.raises(InvalidSettingError, match="already a name"):
        register_dataset(name="digits", size=8, num_classes=10, num_train=1, num_validation=1)(lambda: None)
    with pytest.raises(InvalidSettingError, match="needs a default"):
        register_network(name="net")(lambda num_classes, in_channels, depth: None)
    with pytest.raises(InvalidSettingError, match="cannot be a name"):
        register_network(name="my net")(lambda num_classes, in_channels: None)
    with pytest.raises(InvalidSettingError, match="cannot be loaded"):
        nasviz.load_extension("no_such_module")
    assert not {"net", "my net"} & set(NETWORKS)


def test_data_that_are_not_what_they_declare_are_refused() -> None:
    @register_dataset(name="liar", channels=3, size=8, num_classes=2, num_train=4, num_validation=4)
    def liar() -> object:
        part = torch.zeros(4, 1, 8, 8), torch.tensor([0, 1, 0, 1])
        return part, part

    with pytest.raises(DataError, match="declares channels=3"):
        open_data("liar")
