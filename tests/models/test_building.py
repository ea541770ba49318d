"""A source gives its network, fitted to input and classes, or an error that says what to change."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from nasviz.catalog import FACTS, NETWORKS, NetworkSource
from nasviz.errors import InvalidSettingError, UnknownNameError
from nasviz.models import build, create

SMALL = [
    ("resnet18", (1, 28, 28)),
    ("mobilenet_v3_small", (3, 32, 32)),
    ("squeezenet1_1", (1, 17, 17)),
    ("shufflenet_v2_x0_5", (4, 8, 8)),
    ("regnet_y_400mf", (3, 16, 16)),
    ("vit_b_32", (1, 32, 32)),
    ("swin_t", (3, 32, 32)),
]


@pytest.mark.parametrize(("name", "shape"), SMALL)
def test_torchvision_networks_take_small_images_other_channels_and_classes(
    name: str, shape: tuple[int, int, int]
) -> None:
    model, (images,) = build(NetworkSource(name, shape), FACTS["digits"])
    assert images.shape == (2, *shape)
    with torch.no_grad():
        assert model(images).shape == (2, 10)
        assert model.eval()(images).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "shape", "word"),
    [
        ("alexnet", (3, 32, 32), "63x63"),
        ("densenet121", (3, 28, 40), "29x29"),
        ("stacked_unets", (3, 7, 9), "8x8"),
        ("vit_b_16", (3, 40, 40), "multiple of its patch"),
        ("vit_b_16", (3, 32, 48), "square"),
        ("maxvit_t", (3, 256, 256), "multiples of 224"),
        ("inception_v3", (3, 224, 224), "299x299"),
    ],
)
def test_an_image_that_does_not_fit_is_refused_with_what_would(
    name: str, shape: tuple[int, int, int], word: str
) -> None:
    with pytest.raises(InvalidSettingError, match=word):
        build(NetworkSource(name, shape))


def test_googlenet_keeps_its_auxiliary_heads_and_comes_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, (images,) = create("googlenet", input_shape=(3, 32, 32), num_classes=10)
    with torch.no_grad():
        outputs = model(images)
    assert [tuple(output.shape) for output in outputs] == [(2, 10)] * 3


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, entry in NETWORKS.items() if entry.family == "torchvision"])
def test_every_network_computes_at_its_least_size_and_not_below(name: str) -> None:
    entry = NETWORKS[name]
    side = entry.least_size
    model, (images,) = build(NetworkSource(name, (3, side, side), 10))
    # Shapes are all that matters: no arithmetic is done on the meta device.
    for training in (True, False):
        model.to("meta").train(training)(images.to("meta"))
    if side > 1 and not name.startswith(("vit", "maxvit")):
        # Slicing a feature map down to nothing and pooling it raises one or the other.
        with pytest.raises((RuntimeError, ValueError)):
            model.train()(torch.empty(2, 3, side - 1, side - 1, device="meta"))


def test_the_seed_decides_the_weights_and_leaves_the_generator_alone() -> None:
    before = torch.get_rng_state()
    one, _ = build(NetworkSource("demonet"), seed=1)
    again, _ = build(NetworkSource("demonet"), seed=1)
    other, _ = build(NetworkSource("demonet"), seed=2)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one.conv1.weight, again.conv1.weight)
    assert not torch.equal(one.conv1.weight, other.conv1.weight)


def test_an_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="demonet"):
        create("demonett")


USER_CODE = """
import torch
from torch import nn

instance = nn.Linear(4, 2)
number = 3

class Small(nn.Module):
    def __init__(self, num_classes=3, depth=1):
        super().__init__()
        self.body = nn.Sequential(*[nn.Conv2d(1, 1, 1) for _ in range(depth)])
        self.head = nn.LazyLinear(num_classes)

    def forward(self, x):
        return self.head(self.body(x).flatten(1))

def pair():
    return nn.Linear(4, 2), torch.zeros(3, 4)

def broken():
    raise OSError("no disk")

def text():
    return "network"

class Joined(nn.Module):
    def forward(self, x, mask):
        return torch.cat([x, mask], 1)

class Strict(nn.Module):
    def forward(self, x, *, mask):
        return x

def named():
    return Joined(), {"mask": torch.ones(3, 5), "x": torch.ones(3, 4)}

def by_name_only():
    return Strict(), {"mask": torch.ones(3, 5), "x": torch.ones(3, 4)}

class Wide(nn.Module):
    def __init__(self, width, depth, *rest, bias=True):
        super().__init__()
"""


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "trusted" / "people_own_networks"
    package.mkdir(parents=True)
    (package / "small.py").write_text(USER_CODE)
    (package / "damaged.py").write_text("def f(:\n")
    (package / "lacking.py").write_text("import absent\n")
    monkeypatch.delitem(__import__("sys").modules, "people_own_networks", raising=False)
    monkeypatch.delitem(__import__("sys").modules, "people_own_networks.small", raising=False)
    return package.parent


def test_user_code_is_built_from_a_trusted_folder(trusted: Path) -> None:
    source = NetworkSource("people_own_networks.small:Small", trust=(str(trusted),), settings={"depth": 2})
    model, (images,) = build(source, FACTS["digits"])
    assert images.shape == (2, 1, 8, 8)
    assert model(images).shape == (2, 10)
    assert len(model.body) == 2
    assert str(trusted) not in __import__("sys").path


def test_user_code_may_bring_its_own_inputs(trusted: Path) -> None:
    model, inputs = build(NetworkSource("people_own_networks.small:pair", trust=(str(trusted),)))
    assert [tuple(value.shape) for value in inputs] == [(3, 4)]
    assert isinstance(model, nn.Linear)


def test_inputs_that_user_code_brings_may_go_by_the_names_of_arguments(trusted: Path) -> None:
    model, inputs = build(NetworkSource("people_own_networks.small:named", trust=(str(trusted),)))
    assert [tuple(value.shape) for value in inputs] == [(3, 4), (3, 5)], "in the order of the network"
    assert model(*inputs).shape == (3, 9)
    with pytest.raises(InvalidSettingError, match=r"takes mask by keyword only.*remove the \*"):
        build(NetworkSource("people_own_networks.small:by_name_only", trust=(str(trusted),)))


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("people_own_networks.small:absent", "has no 'absent'"),
        ("people_own_networks.small:broken", "raised OSError: no disk"),
        ("people_own_networks.small:text", "returned str"),
        ("people_own_networks.small:Wide", "needs width, depth, which is not given; write a function"),
        ("people_own_networks.small:number", "is int"),
        ("people_own_networks.small:Small", "no input shape is given; give 3,32,32"),
        ("people_own_networks.damaged:f", "raised SyntaxError"),
        ("people_own_networks.lacking:f", r"No module named 'absent'; install its requirements"),
        ("people_own_networks.absent:f", r"no module.*people_own_networks/absent\.py"),
        ("json:loads", "no module json"),
    ],
)
def test_user_code_that_does_not_work_is_refused_in_words(trusted: Path, name: str, word: str) -> None:
    with pytest.raises(InvalidSettingError, match=word):
        build(NetworkSource(name, trust=(str(trusted),)))


def test_user_code_is_not_taken_from_elsewhere(trusted: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("raise SystemExit('this ran')")
    (trusted / "inside.py").symlink_to(tmp_path / "outside.py")
    (trusted / "json.py").write_text("raise SystemExit('this ran')")
    with pytest.raises(InvalidSettingError, match="links out of the trusted folder"):
        build(NetworkSource("inside:f", trust=(str(trusted),)))
    with pytest.raises(InvalidSettingError, match="already the name of another module"):
        build(NetworkSource("json:loads", trust=(str(trusted),)))
