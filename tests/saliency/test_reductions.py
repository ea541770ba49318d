from __future__ import annotations

import pytest
import torch

from nasviz.errors import InvalidSettingError
from nasviz.saliency import StructureIndex
from nasviz.saliency.reductions import RowIndex

SMALL = {3: [(2, 3), (4,)], 1: [], 7: [(5,), (), (2, 2, 2)]}
LARGE = {3: [(90, 60), (4,)], 1: [], 7: [(10000,)]}


def tensors(shapes, seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return {i: [torch.randn(s, generator=generator).to(dtype) for s in group] for i, group in shapes.items()}


def flat(groups):
    return [tensor for group in groups.values() for tensor in group]


def reference(x, y):
    return [
        sum((a.double() * b.double()).sum().item() for a, b in zip(x[i], y[i], strict=True) if b is not None)
        for i in x
    ]


@pytest.mark.parametrize("shapes", [SMALL, LARGE])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_inner_products_and_norms_are_those_of_the_concatenation(shapes, dtype):
    x, y = tensors(shapes, 0, dtype), tensors(shapes, 1, dtype)
    index = StructureIndex(x)
    rel = 1e-4 if dtype is not torch.float64 else 1e-12
    assert index.dot(index.tensors, flat(y)).tolist() == pytest.approx(reference(x, y), rel=rel)
    norms = [value**0.5 for value in reference(x, x)]
    assert index.norm(index.tensors).tolist() == pytest.approx(norms, rel=rel)
    sizes = [sum(t.numel() for t in group) for group in x.values()]
    assert index.num_parameters.tolist() == sizes
    assert index.ids == (3, 1, 7)


@pytest.mark.parametrize("shapes", [SMALL, LARGE])
def test_missing_tensors_count_as_zeros(shapes):
    x, y = tensors(shapes, 0), tensors(shapes, 1)
    y[3][0] = None
    index = StructureIndex(x)
    assert index.dot(index.tensors, flat(y)).tolist() == pytest.approx(reference(x, y), rel=1e-4)
    nothing = [None] * len(flat(y))
    assert index.dot(index.tensors, nothing).tolist() == index.norm(nothing).tolist() == [0, 0, 0]


def test_mixed_precisions_are_reduced_in_the_widest():
    x = {1: [torch.ones(3, dtype=torch.float16), torch.ones(2, dtype=torch.float64)]}
    index = StructureIndex(x)
    assert index.dtype is torch.float64
    assert index.dot(index.tensors, index.tensors).tolist() == [5.0]


def test_layouts_in_memory_do_not_matter():
    x = torch.randn(40, 30, 3, 3, generator=torch.Generator().manual_seed(0))
    y = torch.randn(40, 30, 3, 3, generator=torch.Generator().manual_seed(1))
    index = StructureIndex({1: [x.to(memory_format=torch.channels_last)]})
    assert index.dot(index.tensors, [y]).item() == pytest.approx((x * y).double().sum().item(), rel=1e-4)


def test_an_index_of_nothing_gives_nothing():
    index = StructureIndex({})
    assert index.dot([], []).tolist() == index.norm([]).tolist() == index.num_parameters.tolist() == []


def test_the_smallest_gradients_do_not_vanish_in_a_square():
    index = StructureIndex({1: [torch.full((2,), 1e-30)]})
    assert index.norm(index.tensors).item() == pytest.approx(2**0.5 * 1e-30)


def test_a_tensor_in_two_structures_is_refused():
    shared = torch.ones(2)
    with pytest.raises(InvalidSettingError, match="two structures"):
        StructureIndex({1: [shared], 2: [shared]})


@pytest.mark.parametrize("sizes", [(3, 5, 4), (5000, 9000, 6000)])
@pytest.mark.parametrize("missing", [None, 1])
def test_sums_of_absolute_products_are_those_of_each_structure(sizes, missing):
    generator = torch.Generator().manual_seed(0)
    x, y = ([torch.randn(n, generator=generator) for n in sizes] for _ in range(2))
    index = StructureIndex({4: x[:2], 7: x[2:]})
    pairs = [(a * b).double().abs().sum().item() for a, b in zip(x, y, strict=True)]
    if missing is not None:
        y[missing], pairs[missing] = None, 0.0
    found = index.absolute_dot(x, y).tolist()
    assert found == pytest.approx([pairs[0] + pairs[1], pairs[2]], rel=1e-5)
    assert RowIndex((4, 7), [(x[0], 0, [4] * sizes[0]), (x[2], 0, [7] * sizes[2])]).absolute_dot(
        [x[0], x[2]], [y[0], y[2]]
    ).tolist() == pytest.approx([pairs[0], pairs[2]], rel=1e-5)
