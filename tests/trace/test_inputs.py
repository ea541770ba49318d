"""Traced networks refuse inputs that they were not traced for, and take those along axes that are free."""

from __future__ import annotations

import copy
import json
import pickle
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nasviz
from nasviz.errors import GraphError, InputError
from nasviz.trace.free_axes import SizeReads
from nasviz.trace.network import check_description, takes


class Branches(nn.Module):
    """A convolutional network whose head is `self.pool`; one branch may go."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8)
        self.branch, self.head = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 5)

    def pool(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape  # noqa: RUF059 (as many networks do, without use for the last two)
        return x.mean((2, 3)).view(b, c)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu()
        return self.head(self.pool(self.branch(x) + x))


class Divided(Branches):
    """Its size is a literal in the graph: at another size it would answer wrongly without an error."""

    def pool(self, x: Tensor) -> Tensor:
        return x.sum((2, 3)) / int(x.shape[2] * x.shape[3])


class Measured(Branches):
    """It computes with its size, which stays a symbol."""

    def pool(self, x: Tensor) -> Tensor:
        return x.sum((2, 3)) / (x.shape[2] * x.shape[3])


class Windows(Branches):
    """It needs a height that 4 divides, and says so."""

    def pool(self, x: Tensor) -> Tensor:
        assert x.shape[2] % 4 == 0
        return x.unflatten(2, (x.shape[2] // 4, 4)).softmax(3).amax((2, 3, 4))


class Switching(Branches):
    """It takes another way for large images only: no other size than a large one would show it."""

    def pool(self, x: Tensor) -> Tensor:
        return x.amax((2, 3)) if x.shape[-1] > 100 else x.mean((2, 3))


class Nested(nn.Module):
    """Takes a dict of a list, a mask and a setting, and has a literal size."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.inner = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: dict[str, Any], mask: Tensor, how: str = "mean") -> Tensor:
        y = self.linear(x["rows"][0])
        y = (y + self.inner(y)).view(-1, 24).view(-1, 4, 6)
        return (y.mean(1) if how == "mean" else y.sum(1)) * mask


def smaller(net: Any) -> Any:
    space = nasviz.search_space(net)
    return nasviz.construct(net, space, (space.removable[0].id,))


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> dict[str, nn.Module]:
    """A network with a literal size in all the forms in which people hold it."""
    torch.manual_seed(0)
    net = nasviz.trace(Divided(), torch.randn(1, 3, 16, 16))
    sub = smaller(net)
    folder = nasviz.save(sub, tmp_path_factory.mktemp("saved"))
    return {
        "traced": net,
        "sub-network": sub.module,
        "copied": copy.deepcopy(sub.module),
        "pickled": pickle.loads(pickle.dumps(sub.module)),
        "loaded": nasviz.load(folder),
        "model.py": runpy.run_path(str(folder / "model.py"))["load"](),
    }


FORMS = ("traced", "sub-network", "copied", "pickled", "loaded", "model.py")


@pytest.mark.parametrize("form", FORMS)
def test_another_size_is_refused_where_a_size_is_a_literal(divided: dict[str, nn.Module], form: str) -> None:
    net = divided[form].eval()

    assert net(torch.randn(5, 3, 16, 16)).shape == (5, 5), "the batch is free"
    for wrong in (torch.randn(2, 3, 32, 32), torch.randn(2, 1, 16, 16), torch.randn(3, 16, 16)):
        with pytest.raises(ValueError, match=r"\(2, 3, 32, 32\)|\(2, 1, 16, 16\)|\(3, 16, 16\)"):
            net(wrong)
    with pytest.raises(ValueError, match=r"integer|int64"):
        net(torch.ones(2, 3, 16, 16, dtype=torch.long))


def test_the_refused_answer_would_be_wrong() -> None:
    """The negative control: what runs without the check differs from the model by far."""
    torch.manual_seed(0)
    model = Divided().eval()
    net = nasviz.trace(model, torch.randn(1, 3, 16, 16)).eval()
    x = torch.randn(2, 3, 32, 32)
    unchecked = type(net).forward.__wrapped__(net, x)

    assert float((unchecked - model(x)).detach().abs().max() / model(x).detach().abs().max()) > 0.1
    with pytest.raises(InputError, match=r"axis 2 has size 32 instead of 16.*free: 0 \(batch\).*trace the"):
        net(x)


def test_axes_are_free_where_the_code_reads_no_size() -> None:
    torch.manual_seed(0)
    model = Branches().eval()
    net = nasviz.trace(model, torch.randn(1, 3, 16, 16))
    sub = smaller(net)

    assert net.parity.free_axes == {"x": (0, 2, 3)}
    x = torch.randn(3, 3, 40, 21)
    torch.testing.assert_close(net.eval()(x), model(x))
    assert sub.module(x).shape == (3, 5)
    with pytest.raises(InputError, match="axis 1 has size 1 instead of 3"):
        net(torch.randn(3, 1, 40, 21))


@pytest.mark.parametrize(
    ("kind", "good", "refused"),
    [
        (Measured, (24, 40), None),
        (Windows, (24, 7), (26, 7)),
        (Switching, (24, 150), (24, 300)),
    ],
)
def test_axes_are_free_as_far_as_the_code_branches_as_it_did(
    kind: type[nn.Module], good: tuple[int, int], refused: tuple[int, int] | None, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = kind().eval()
    net = nasviz.trace(model, torch.randn(1, 3, 16, 16)).eval()
    sub = smaller(net)
    folder = nasviz.save(sub, tmp_path)
    small = [sub.module, nasviz.load(folder), runpy.run_path(str(folder / "model.py"))["load"]()]

    assert net.parity.free_axes == {"x": (0, 2, 3)}
    x = torch.randn(3, 3, *good)
    torch.testing.assert_close(net(x), model(x))
    for other in small:
        torch.testing.assert_close(other.eval()(x), sub.module.eval()(x))
    for other in (net, *small) if refused else ():
        with pytest.raises(ValueError, match=f"{refused[refused[0] == 24]}"):
            other(torch.randn(3, 3, *refused))


def test_a_fixed_axis_names_the_line_that_needs_its_size() -> None:
    parity = nasviz.trace(Divided(), torch.randn(1, 3, 16, 16)).parity

    assert parity.free_axes == {"x": (0,)}
    assert all("test_inputs.py:" in parity.fixed_axes["x"][axis] for axis in (1, 2, 3))
    assert "test_inputs.py:" + str(Divided.pool.__code__.co_firstlineno + 1) in parity.fixed_axes["x"][2]


class Block(nn.Module):
    """Attention over a sequence, whose code reads the length."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.o = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        q, k, v = (part.view(b, n, 2, 4).transpose(1, 2) for part in self.qkv(self.norm(x)).chunk(3, -1))
        mask = torch.full((n, n), -torch.inf).triu(1)
        y = (q @ k.transpose(2, 3) + mask).softmax(3) @ v
        return x + self.o(y.transpose(1, 2).reshape(b, n, d))


class Text(nn.Module):
    """A language model with learned positions: 2 to 16 tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(9, 8), nn.Embedding(16, 8)
        self.blocks, self.head = nn.Sequential(Block(), Block()), nn.Linear(8, 9)

    def forward(self, tokens: Tensor) -> Tensor:
        n = tokens.shape[1]
        assert n <= 16, "too long"
        return self.head(self.blocks(self.words(tokens) + self.places(torch.arange(n))))


class Recurrent(nn.Module):
    """A language model of a recurrent layer, whose code flattens batch and length."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.layer, self.act = (
            nn.Embedding(9, 8),
            nn.LSTM(8, 8, 2, batch_first=True),
            nn.ReLU(True),
        )
        self.inner, self.head = nn.Linear(8, 8), nn.Linear(8, 9)

    def forward(self, tokens: Tensor) -> Tensor:
        b, n = tokens.shape
        x = self.act(self.layer(self.words(tokens))[0])
        return self.head((x + self.inner(x)).reshape(b * n, 8)).view(b, n, 9)


@pytest.mark.parametrize("kind", [Text, Recurrent])
def test_language_models_take_any_length(kind: type[nn.Module], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = kind().eval()
    net = nasviz.trace(model, torch.randint(0, 9, (2, 8))).eval()
    sub = smaller(net)
    folder = nasviz.save(sub, tmp_path)
    small = sub.module.eval()

    assert net.parity.free_axes == {"tokens": (0, 1)}
    assert net.parity.strategy.startswith("export, training mode")
    for length in (5, 16):
        tokens = torch.randint(0, 9, (3, length))
        torch.testing.assert_close(net(tokens), model(tokens))
        torch.testing.assert_close(nasviz.load(folder).eval()(tokens), small(tokens))
        torch.testing.assert_close(
            runpy.run_path(str(folder / "model.py"))["load"]().eval()(tokens), small(tokens)
        )
    if kind is Text:
        with pytest.raises(InputError, match=r"17 instead of [0-2] to 16"):
            net(torch.randint(0, 9, (2, 17)))


class SequenceFirst(nn.Module):
    """Takes (length, batch, features); its positions fix the length."""

    def __init__(self) -> None:
        super().__init__()
        self.e, self.places, self.o = nn.Linear(6, 8), nn.Parameter(torch.randn(7, 1, 8)), nn.Linear(8, 3)
        self.t = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, 0.0), 1, enable_nested_tensor=False
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.o(self.t(self.e(x) + self.places).mean(0))


def test_the_batch_may_lie_on_another_axis() -> None:
    torch.manual_seed(0)
    model, x = SequenceFirst().eval(), torch.randn(7, 5, 6)
    net = nasviz.trace(model, torch.randn(7, 1, 6), batch_axis=1).eval()

    assert net.trace_graph.inputs[0].shape == (7, -1, 6)
    assert net.parity.free_axes == {"x": (1,)}
    assert "test_inputs.py:" in net.parity.fixed_axes["x"][0]
    torch.testing.assert_close(net(x), model(x))
    sub = smaller(net)
    assert sub.module.eval()(x).shape == (5, 3)
    assert nasviz.trace(model, torch.randn(7, 3, 6)).parity.free_axes == {"x": (1,)}


class Written(nn.Module):
    """Writes in place to one of several values of an operator, for which torch has no gradient."""

    def __init__(self, write: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.i, self.o, self.write = nn.Linear(4, 8).requires_grad_(False), nn.Linear(8, 2), write

    def forward(self, x: Tensor) -> Tensor:
        return self.o(self.write(self.i(x)))


def sorted_clamped(y: Tensor) -> Tensor:
    values, _ = torch.sort(y, 1)
    return values.clamp_(max=0.5)


def one_chunk(y: Tensor) -> Tensor:
    a, b = y.chunk(2, 1)
    a.relu_()
    return torch.cat([b, a], 1) + y  # `y` has changed with its piece


def one_piece(y: Tensor) -> Tensor:
    a, b, _ = y.split([3, 4, 1], 1)
    b.mul_(a[:, :1])
    a.sub_(1.0)
    return y


def one_row(y: Tensor) -> Tensor:
    y.unbind(1)[2].neg_()
    return y.relu()


@pytest.mark.parametrize("write", [sorted_clamped, one_chunk, one_piece, one_row])
def test_in_place_writes_to_one_value_of_several(write: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    model = Written(write).eval()
    net = nasviz.trace(model, torch.randn(3, 4)).eval()
    x = torch.randn(5, 4)

    assert net.parity.strategy == "export, training mode, any batch size"
    torch.testing.assert_close(net(x), model(x))


class Single(nn.Module):
    """Treats a length of one in another way: torch leaves no condition for it in the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.i, self.o = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.o(self.i(x) * (2.0 if x.shape[1] == 1 else 1.0))


def test_a_size_of_one_is_refused_where_the_code_treats_it_in_another_way() -> None:
    model = Single().eval()
    net = nasviz.trace(model, torch.randn(2, 6, 4)).eval()

    torch.testing.assert_close(net(torch.ones(3, 2, 4)), model(torch.ones(3, 2, 4)))
    with pytest.raises(InputError, match="1 instead of 2 or more"):
        net(torch.randn(2, 1, 4))


class SingleSample(nn.Module):
    """Treats a batch of one in another way; `mode` is that in which it does."""

    def __init__(self, mode: bool | None, axes: int) -> None:
        super().__init__()
        self.i, self.o, self.mode, self.axes = nn.Linear(4, 4), nn.Linear(4, 4), mode, axes

    def forward(self, x: Tensor) -> Tensor:
        is_single = x.shape[0] == 1 and self.mode in (None, self.training)
        y = self.o(self.i(x.flatten(2).mean(2) if self.axes else x))
        return 2 * y if is_single else y


@pytest.mark.parametrize("mode", [None, False, True])
@pytest.mark.parametrize("axes", [(), (8, 8)])
def test_a_batch_of_one_is_refused_where_the_code_treats_it_in_another_way(
    mode: bool | None, axes: tuple[int, ...], tmp_path: Path
) -> None:
    model = SingleSample(mode, len(axes))
    net = nasviz.trace(model, torch.randn(1, 4, *axes))
    sub = nasviz.construct(net, nasviz.search_space(net), ())
    folder = nasviz.save(sub, tmp_path)

    assert any("a batch of one" in warning for warning in net.parity.warnings)
    torch.testing.assert_close(net(x := torch.randn(3, 4, *axes)), model(x))
    for other in (net, sub.module, nasviz.load(folder)):
        with pytest.raises(InputError, match="1 instead of 2 or more"):
            other(torch.randn(1, 4, *axes))


def test_nesting_settings_and_numbers_of_inputs_are_checked() -> None:
    good: dict[str, Any] = {"x": {"rows": [torch.randn(2, 4, 6)]}, "mask": torch.ones(2, 6), "how": "mean"}
    net = nasviz.trace(Nested(), good)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"x": {"rows": [torch.randn(2, 3, 6)]}}, r"x\['rows'\]\[0\].*axis 1 has size 3"),
        ({"x": {"rows": [torch.randn(2, 4, 6)] * 2}}, "a sequence of 1, and got one of 2"),
        ({"x": {"row": [torch.randn(2, 4, 6)]}}, "no 'rows', unexpected 'row'"),
        ({"x": torch.ones(2, 4, 6)}, "a dict of rows, and got a tensor"),
        ({"mask": torch.ones(3, 6)}, "axis 0 has size 3.*must be equal"),
        ({"mask": torch.ones(2, 6, dtype=torch.bool)}, "mask of floating numbers and got bool"),
        ({"mask": torch.ones(2, 6).numpy()}, "NumPy array.*torch.from_numpy"),
        ({"how": "sum"}, "how='mean' and got 'sum'"),
        ({"other": torch.ones(1)}, "without 'other'"),
    ]

    assert net(**good).shape == (2, 6)
    for change, words in wrong:
        with pytest.raises(InputError, match=words):
            net(**(good | change))
    with pytest.raises(InputError, match="got no mask"):
        net(good["x"], how="mean")
    with pytest.raises(InputError, match=r"3 arguments.*got 4"):
        net(good["x"], good["mask"], "mean", 1)


def test_a_mask_that_spreads_over_the_batch_stays_one() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            return self.linear(x) * mask

    net = nasviz.trace(Masked(), (torch.randn(2, 4), torch.ones(1, 4)))
    assert net(torch.randn(5, 4), torch.ones(1, 4)).shape == (5, 4)
    with pytest.raises(InputError, match="mask of shape"):
        net(torch.randn(5, 4), torch.ones(5, 4))


def test_the_check_is_seen_through_by_export_compile_and_functional_calls() -> None:
    torch.manual_seed(0)
    net = smaller(nasviz.trace(Branches(), torch.randn(1, 3, 16, 16))).module.eval()
    x, other = torch.randn(2, 3, 16, 16), torch.randn(4, 3, 24, 19)
    dims = {0: torch.export.Dim("b"), 2: torch.export.Dim("h", min=4), 3: torch.export.Dim("w", min=4)}
    exported = torch.export.export(net, (x,), dynamic_shapes={"x": dims}).module()
    compiled = torch.compile(net, backend="eager", fullgraph=True)

    torch.testing.assert_close(exported(other), net(other))
    torch.testing.assert_close(compiled(x), net(x))
    torch.testing.assert_close(compiled(other), net(other))
    torch.testing.assert_close(torch.func.functional_call(net, dict(net.named_parameters()), (x,)), net(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert net(x).dtype == torch.bfloat16
    with pytest.raises(InputError, match="axis 1"):
        torch.compile(net, backend="eager")(torch.randn(2, 1, 16, 16))


def test_sizes_that_nobody_uses_are_not_counted_as_read() -> None:
    x = torch.zeros(2, 3, 5)

    def first(x: Tensor) -> int:
        a, b, c = x.shape  # noqa: RUF059
        return a

    def last(x: Tensor) -> int:
        return x.size(-1)

    def pieces(x: Tensor) -> int:
        return len(x.split(1, dim=2))

    for function, expected in ((first, [2]), (last, [5]), (pieces, [5])):
        with SizeReads() as sizes:
            function(x)
        assert sizes.found == expected


@pytest.mark.parametrize(
    "described",
    [
        {"y": ["floating", ["batch", 3]]},
        {"x": ["floating", ["__import__('os')", 3]]},
        {"x": ["floating", [-1]]},
        {"x": ["floating", [["n", 2, 16, 0]]]},
        {"x": ["floating", [["n", None, 16, 1]]]},
        {"x": ["floating", [["__import__('os')", 2, 16, 1]]]},
        {"x": ["floating", [["n", 2, 16]]]},
        {"x": ["value", [1]]},
        {"x": ["code", "1"]},
        {"x": ["object", {"a b": ["anything"]}]},
        ["x"],
    ],
)
def test_a_description_from_a_file_is_checked(described: Any) -> None:
    with pytest.raises(GraphError):
        check_description(described, ["x"])


def test_a_folder_of_the_first_version_is_checked_as_far_as_it_knows(tmp_path: Path) -> None:
    net = nasviz.trace(Divided(), torch.randn(1, 3, 16, 16))
    folder = nasviz.save(smaller(net), tmp_path / "saved")
    path = folder / "graph.json"
    document = json.loads(path.read_text())
    del document["takes"]
    loaded = nasviz.subnet.description.build(
        document, nasviz.subnet.files._read_weights(folder / "weights.safetensors")
    )

    with pytest.raises(InputError, match="axis 2 has size 8 instead of 16"):
        loaded(torch.randn(2, 3, 8, 16))


def test_takes_reads_sizes_of_one_name_as_equal() -> None:
    class Sum(nn.Module):
        @takes(x=("floating", ("batch", "n")), y=("floating", ("batch", "n")))
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    assert Sum()(torch.ones(2, 3), torch.ones(2, 3)).shape == (2, 3)
    with pytest.raises(InputError, match="axis 1 has size 1, and axis 1 of x has size 3"):
        Sum()(torch.ones(2, 3), torch.ones(2, 1))
