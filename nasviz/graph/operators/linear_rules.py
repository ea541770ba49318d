"""What becomes of missing channels at convolutions and linear maps, which mix them and make others."""

from __future__ import annotations

from nasviz.graph.operator_table import Channels
from nasviz.graph.operators.propagation import Fold, Passage, Zeros
from nasviz.graph.structures.discovery import Slice
from nasviz.graph.trace_graph import Vertex

__all__ = ["columns", "convolution", "takes_constants", "without_outputs"]


def takes_constants(vertex: Vertex) -> bool:
    """Whether the bias of a linear map or convolution can stand for constant channels.

    At a padded border, and under a transposed convolution, a constant meets fewer weights than elsewhere.
    """
    if not vertex.module or vertex.attributes.get("transposed"):
        return False
    if vertex.rule.channels is Channels.COLUMNS:
        return True
    padding = vertex.attributes.get("padding")
    may_pad = any(padding) if isinstance(padding, tuple) else padding != "valid"
    return vertex.attributes.get("groups", 1) == 1 and not may_pad


def columns(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """A linear map: columns of its weight go, and its value is whole; constants go into its bias."""
    is_transposed = bool(vertex.attributes.get("transposed"))
    if zeros.axis != len(shape) - 1 or not vertex.parameters:
        return None
    if not zeros.is_zero and not takes_constants(vertex):
        return None
    left = zeros.size - len(zeros.rows)
    inputs = 0 if is_transposed else 1  # torch's weights have them last, others first
    cut = Slice(vertex.parameters[0], inputs, zeros.rows, vertex.id)
    retyped: dict[str, int | float] = {"in_features": left} if vertex.module else {}
    return Passage(None, (cut,), retyped=retyped, kept=(left, zeros.size), fold=_fold(vertex, zeros))


def convolution(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """A convolution: columns of its weight go, or whole groups of it."""
    groups, is_transposed = vertex.attributes.get("groups", 1), bool(vertex.attributes.get("transposed"))
    if zeros.axis != 1 or not vertex.parameters or not vertex.module:
        return None
    assert isinstance(groups, int)
    if not zeros.is_zero and not takes_constants(vertex):
        return None
    left = zeros.size - len(zeros.rows)
    if groups == 1:
        cut = Slice(vertex.parameters[0], 0 if is_transposed else 1, zeros.rows, vertex.id)
        kept = (left, zeros.size)
        return Passage(None, (cut,), retyped={"in_channels": left}, kept=kept, fold=_fold(vertex, zeros))
    return None if is_transposed else _grouped(vertex, zeros, groups)


def _fold(vertex: Vertex, zeros: Zeros) -> Fold | None:
    return None if zeros.is_zero else Fold(vertex.id, zeros.rows, zeros.values)


def _grouped(vertex: Vertex, zeros: Zeros, groups: int) -> Passage | None:
    """Whole groups go, with their filters; a depthwise convolution has one channel a group."""
    width = zeros.size // groups
    gone = tuple(dict.fromkeys(row // width for row in zeros.rows))
    if len(gone) * width != len(zeros.rows):
        return None
    left, filters = groups - len(gone), vertex.shape[1] // groups
    after = Zeros(1, Zeros(1, gone, groups).spread(filters), vertex.shape[1])
    retyped: dict[str, int | float] = {
        "in_channels": left * width,
        "out_channels": left * filters,
        "groups": left,
    }
    weight, *bias = vertex.parameters
    shifts = tuple(Slice(name, 0, after.rows, vertex.id) for name in bias)
    cut = Slice(weight, 0, after.rows, vertex.id)
    return Passage(after, (cut, *shifts), shifts, retyped, (left, groups))


def without_outputs(vertex: Vertex, rows: tuple[int, ...], passage: Passage | None) -> Passage:
    """A convolution or linear map that makes some of its channels no more.

    Args:
        vertex: Not in groups; its tensors are read by no other.
        rows: The channels.
        passage: What channels that are missing in its operand do to it.
    """
    is_convolution = vertex.rule.channels is Channels.CONVOLUTION
    axis = 1 if is_convolution else len(vertex.shape) - 1
    size = vertex.shape[axis]
    weight, *biases = vertex.parameters
    outputs = 1 if vertex.attributes.get("transposed") else 0
    cut = (Slice(weight, outputs, rows, vertex.id), *(Slice(bias, 0, rows, vertex.id) for bias in biases))
    before = passage or Passage(None)
    left, name = size - len(rows), "out_channels" if is_convolution else "out_features"
    numerator, denominator = before.kept
    return Passage(
        Zeros(axis, rows, size),
        (*before.slices, *cut),
        before.entailed,
        before.retyped | ({name: left} if vertex.module else {}),
        (numerator * left, denominator * size),
        before.fold,
    )
