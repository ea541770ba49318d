"""Published weights are downloaded after a click alone; then the network is open."""

from pathlib import Path

import pytest
import torch
import torchvision
from streamlit.testing.v1 import AppTest

from nasviz.catalog import NetworkSource


@pytest.fixture(autouse=True)
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["app.py", "--runs", str(tmp_path / "runs")])


def choose(place: str) -> AppTest:
    def script(place: str) -> None:
        from nasviz.ui import session
        from nasviz.ui.pages.model import choose

        session.current().choices |= {"torchvision": "shufflenet_v2_x0_5", "place": place}
        choose()

    app = AppTest.from_function(script, args=(place,)).run(timeout=60)
    assert not app.exception
    return app


@pytest.mark.slow
def test_a_click_fetches_weights_and_opens_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # workers inherit it
    url = torchvision.models.get_weight("ShuffleNet_V2_X0_5_Weights.DEFAULT").url
    file = tmp_path / "hub" / "checkpoints" / Path(url).name
    file.parent.mkdir(parents=True)
    torch.save(torchvision.models.shufflenet_v2_x0_5().state_dict(), file)
    app = choose("torchvision")
    assert not [key for key in app.session_state["nasviz"].jobs if key.startswith("download")]
    app.number_input(key="torchvision.classes").set_value(5)
    app.button(key="torchvision.download").click().run(timeout=120)
    while [key for key in app.session_state["nasviz"].jobs if key.startswith("download")]:
        app.run(timeout=120)
    assert not app.error
    source = app.session_state["nasviz"].source
    assert source == NetworkSource("torchvision:shufflenet_v2_x0_5:DEFAULT", num_classes=5)


@pytest.mark.parametrize("name", ["", "resnet18", "a/b/c"])
def test_what_is_no_repository_is_refused_before_anything_is_asked(name: str) -> None:
    app = choose("Hugging Face")
    app.text_input(key="hub.name").set_value(name)
    app.button(key="hf.download").click().run(timeout=60)
    assert [error.value for error in app.error if "ORG/NAME" in error.value]
    assert not app.session_state["nasviz"].jobs
