"""Runs on other data than digits, and with a loss of the user's own: exact, resumable, safe."""

from pathlib import Path
from typing import Any

import pytest
import torch

from nasviz.catalog import NetworkSource
from nasviz.errors import DataError, InvalidSettingError
from nasviz.runs import Run, RunSettings, Store
from nasviz.train import open_session, train, work
from nasviz.train.batches import epoch_batches
from nasviz.train.checkpoint import restore, save
from nasviz.train.objective import load_loss, own_loss
from tests.data.files import write_images, write_svhn
from tests.train.conftest import short_settings

CODE = '''
import torch
from torch.utils.data import Dataset
from torch.nn import functional

class Noisy(Dataset):
    """Learnable in a few steps: the class is the brightness; every item has noise of its own."""
    def __len__(self):
        return 96
    def __getitem__(self, index):
        return torch.full((1, 8, 8), index % 4 - 1.5) + 0.1 * torch.randn(1, 8, 8), index % 4

class Values(Noisy):
    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image, torch.tensor([float(label)])

def noisy():
    return Noisy(), Noisy()

def values():
    return Values(), Values()

def focal(output, labels):
    share = functional.cross_entropy(output, labels, reduction="none")
    return ((1 - (-share).exp()) ** 2 * share).mean()

def squared(output, labels):
    error = (output[:, :1] - labels).square().mean()
    return error, 1 / (1 + error)

def vector(output, labels):
    return output
'''
SMALL = {
    "batch_size": 16,
    "epochs": 4,
    "warmup_steps": 4,
    "projection_steps": 8,
    "target_sparsity": 3,
    "lr": 0.01,
}
NETWORK = NetworkSource("demonet", input_shape=(1, 8, 8), num_classes=4, settings={"width": 0.25})


@pytest.fixture
def trust(tmp_path: Path) -> tuple[str]:
    folder = tmp_path / "trusted"
    folder.mkdir()
    (folder / f"own_{tmp_path.name.replace('-', '_')}.py").write_text(CODE)
    return (str(folder),)


def own(trust: tuple[str], data: str = "noisy", **changes: Any) -> RunSettings:
    module = next(Path(trust[0]).glob("*.py")).stem
    if "loss" in changes:
        changes["loss"] = f"{module}:{changes['loss']}"
    settings = {"network": NETWORK, "data": f"{module}:{data}", "trust": trust} | SMALL
    return short_settings(**(settings | changes))


def losses(settings: RunSettings) -> list[float]:
    return [float(record.loss) for record in train(open_session(settings))]


def test_a_run_learns_own_data_with_an_own_loss_to_its_sub_network(trust: tuple[str], store: Store) -> None:
    run = store.create(own(trust, loss="focal"))
    assert work(run) == "done"
    assert run.end is not None
    result = run.end.result
    assert result["accuracy_full"] > 0.8
    assert result["accuracy_subnet"] == result["accuracy_full"]
    assert result["is_valid"]
    plain = losses(own(trust))
    focal = losses(own(trust, loss="focal"))
    assert focal[0] < plain[0]  # (1 - p)^2 weighs every term down


def test_a_loss_may_bring_its_own_score(trust: tuple[str], store: Store) -> None:
    run = store.create(own(trust, "values", loss="squared", target_sparsity=0, lr=1e-4))
    assert work(run) == "done"
    evaluations = run.tail().evaluations
    assert 0 < evaluations[-1].accuracy < 1
    assert abs(evaluations[-1].accuracy - 1 / (1 + evaluations[-1].loss)) < 0.1


def test_random_items_and_augmentation_resume_exactly_with_and_without_loaders(
    trust: tuple[str], run: Run
) -> None:
    settings = own(trust, augmentation="shift_flip", epochs=3)
    session = open_session(settings)
    steps = train(session)
    first = [float(next(steps).loss) for _ in range(8)]
    save(session, run.folder)
    rest = [float(record.loss) for record in steps]
    again = open_session(settings)
    restore(again, run.folder)
    assert [float(record.loss) for record in train(again)] == rest
    assert losses(own(trust, augmentation="shift_flip", epochs=3, num_workers=2)) == first + rest
    assert losses(own(trust, augmentation="shift_flip", epochs=3, seed=1))[:8] != first


@pytest.mark.parametrize("kind", ["cutout", "resized_crop"])
def test_loaders_change_nothing_about_folders_of_images(kind: str, tmp_path: Path) -> None:
    from nasviz.data import load

    write_images(tmp_path)
    train = load("image_folder", image_shape=(3, 8, 8), folder=tmp_path).train
    options = {"seed": 0, "epoch": 1, "batch_size": 2, "augmentation": kind}
    here, loaded = (list(epoch_batches(train, num_workers=n, **options)) for n in (0, 2))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(here, loaded, strict=True))
    assert len(here) == 3


def test_published_data_train_from_their_folder(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_svhn(tmp_path, monkeypatch)
    source = NetworkSource("demonet", input_shape=(3, 8, 8), settings={"width": 0.25})
    settings = {"network": source, "data": "svhn", "data_folder": str(tmp_path), "batch_size": 4}
    run = store.create(short_settings(**settings, warmup_steps=2, projection_steps=2, epochs=2))
    assert work(run) == "done"
    assert run.tail().last_step == 5


def test_missing_data_end_a_run_with_the_layout_in_words(tmp_path: Path, store: Store) -> None:
    source = NetworkSource("demonet", input_shape=(3, 8, 8), settings={"width": 0.25})
    run = store.create(short_settings(network=source, data="stl10", data_folder=str(tmp_path)))
    with pytest.raises(DataError, match=r"train_X\.bin.*in stl10_binary"):
        work(run)
    assert run.state == "failed"


def test_python_runs_only_from_trusted_folders_and_only_in_the_worker(trust: tuple[str]) -> None:
    settings = own(trust, loss="focal")
    assert settings.is_user_code
    assert RunSettings.from_json(settings.to_json()) == settings
    for changes in ({"data": "plates:train"}, {"loss": "plates:loss"}):
        with pytest.raises(InvalidSettingError, match="no folder is trusted"):
            short_settings(**changes)
    with pytest.raises(InvalidSettingError, match=r"package.module:callable"):
        short_settings(loss="focal", trust=trust)
    with pytest.raises(InvalidSettingError, match="label_smoothing"):
        own(trust, loss="focal", label_smoothing=0.1)
    with pytest.raises(InvalidSettingError, match="no module"):
        load_loss("absent_module:loss", trust)


def test_a_loss_that_is_no_scalar_or_has_no_score_is_told(trust: tuple[str]) -> None:
    with pytest.raises(DataError, match="must return a scalar"):
        losses(own(trust, loss="vector"))
    with pytest.raises(DataError, match="return a pair"):
        own_loss(lambda output, labels: output.sum(), torch.zeros(2, 1), torch.zeros(2, 1))


def test_more_classes_than_the_network_has_are_refused() -> None:
    source = NetworkSource("demonet", input_shape=(1, 8, 8), num_classes=4)
    with pytest.raises(InvalidSettingError, match="asked for 4 classes, and digits has 10"):
        open_session(short_settings(network=source))
