"""Traced networks refuse inputs that they were not traced for, and take those along axes that are free."""

from __future__ import annotations

import copy
import json
import pickle
import runpy
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
        return x.sum((2, 3)) / (x.shape[2] * x.shape[3])


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


@pytest.mark.parametrize(("kind", "free"), [(Divided, (0,)), (Switching, (0, 2))])
def test_axes_are_fixed_where_the_code_reads_their_size(kind: type[nn.Module], free: tuple[int, ...]) -> None:
    net = nasviz.trace(kind(), torch.randn(1, 3, 16, 16))

    assert net.parity.free_axes == {"x": free}


def test_a_sequence_has_the_length_that_it_was_traced_with_unless_all_lengths_agree() -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.o = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            b, n, d = x.shape
            q = self.q(x).view(b, n, 2, 4).transpose(1, 2)
            y = nn.functional.scaled_dot_product_attention(q, q, q).transpose(1, 2).reshape(b, n, d)
            return x + self.o(y)

    net = nasviz.trace(nn.Sequential(nn.Embedding(9, 8), Heads()), torch.randint(0, 9, (2, 7)))
    assert net.parity.free_axes == {"input": (0,)}
    with pytest.raises(InputError, match="axis 1 has size 5 instead of 7"):
        net(torch.randint(0, 9, (2, 5)))

    tokens = nasviz.trace(nn.Sequential(nn.Embedding(9, 8), nn.Linear(8, 4)), torch.randint(0, 9, (2, 7)))
    assert tokens.parity.free_axes == {"input": (0, 1)}
    assert tokens(torch.randint(0, 9, (3, 11))).shape == (3, 11, 4)


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
