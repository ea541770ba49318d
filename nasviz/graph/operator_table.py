"""The operator table: what each operator is to the search space, at zero, and to dead channels.

One row an operator, named as in `torch.ops.aten` without overload and without the underscore of in-place
variants. An operator without a row is legal: it is `UNKNOWN`, nothing is assumed about it, and construction
feeds it materialised zeros, which is always exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["OPERATORS", "UNKNOWN", "VALUE_AT_ZERO", "AtZero", "Channels", "Operator", "Role", "operator"]


class Role(StrEnum):
    """What an operator is in a dependency graph; the joints only where two operands depend on the input."""

    STEM = "stem"
    """Mixes channels with its own weights: it can change their number."""
    NORM = "norm"
    """Normalises, then scales and shifts each channel."""
    ACCESSORY = "accessory"
    """Acts on each channel by itself."""
    SHAPE = "shape"
    """Moves values about without changing them."""
    ADDITIVE = "additive"
    """A joint where a zero operand is neutral."""
    CONCATENATING = "concatenating"
    """A joint that puts its operands side by side."""
    MULTIPLICATIVE = "multiplicative"
    """A joint where a zero operand annihilates, or that feeds a softmax."""
    SELECTING = "selecting"
    """A joint that picks among values: no general rule."""
    UNKNOWN = "unknown"
    """Not in the table."""


class AtZero(StrEnum):
    """What comes out when everything that goes in is zero."""

    KEEPS = "keeps"
    """Zero in, zero out, whatever the parameters."""
    AFFINE = "affine"
    """Zero out whenever its own parameters are zero, whatever goes in."""
    SHIFTS = "shifts"
    """Not zero, or not known."""
    MEASURED = "measured"
    """Depends on literals: evaluated at zero when the network is traced."""


class Channels(StrEnum):
    """What a channel that is exactly zero becomes: the slicing rule of construction."""

    PASS = "pass"
    """Stays zero, at the same place."""
    ROWS = "rows"
    """Stays zero once its rows of the parameters are zero; the rows are sliced with it."""
    COLUMNS = "columns"
    """Meets columns of a weight, which are sliced: the output is whole."""
    CONVOLUTION = "convolution"
    """`COLUMNS`, or `ROWS` when depthwise; other groupings materialise."""
    RESHAPE = "reshape"
    """Becomes a block of neighbours, or part of one, where that is an axis again."""
    PERMUTE = "permute"
    """Moves with its axis."""
    REDUCE = "reduce"
    """Stays zero; axes before it may disappear."""
    CONCATENATE = "concatenate"
    """Shifted by the widths of the operands before it."""
    ADD = "add"
    """Stays zero only where all operands are zero."""
    MATERIALISE = "materialise"
    """No rule: zeros are written back before the operator."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One row of the table."""

    role: Role
    at_zero: AtZero
    channels: Channels


UNKNOWN = Operator(Role.UNKNOWN, AtZero.SHIFTS, Channels.MATERIALISE)

_ACTIVATIONS_AT_ZERO = (
    "relu relu6 gelu silu hardswish leaky_relu mish tanh sin asin atan sinh asinh tan abs neg sign sqrt "
    "square erf expm1 log1p round floor ceil trunc softsign softshrink hardshrink tanhshrink "
    "selu celu elu rrelu dropout feature_dropout alpha_dropout"
).split()
_SHIFTING = (
    "sigmoid hardsigmoid log_sigmoid softplus exp exp2 cos cosh log log2 log10 rsqrt reciprocal erfc logit"
).split()
_BY_LITERALS = "hardtanh clamp clamp_min clamp_max threshold pow rsub fmod remainder nan_to_num".split()
_PER_CHANNEL = (
    "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
    "adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d "
    "upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_bilinear2d upsample_bicubic2d "
    "upsample_linear1d upsample_trilinear3d alias clone contiguous detach to _to_copy type_as "
    "stochastic_depth"
).split()
_MOVES = (
    "view reshape transpose slice select getitem unsqueeze squeeze expand expand_as unflatten chunk split "
    "split_with_sizes unbind roll repeat repeat_interleave narrow view_as reshape_as pixel_shuffle "
    "pixel_unshuffle channel_shuffle im2col col2im unfold swapaxes movedim t flip"
).split()
_PRODUCTS = (
    "mul div matmul bmm mm einsum scaled_dot_product_attention addcmul addcdiv bilinear baddbmm".split()
)
_SELECTIONS = (
    "where masked_fill index gather scatter index_select minimum maximum index_put index_copy take_along_dim"
).split()


def _rows(names: list[str], role: Role, at_zero: AtZero, channels: Channels) -> dict[str, Operator]:
    return dict.fromkeys(names, Operator(role, at_zero, channels))


OPERATORS: dict[str, Operator] = {
    **_rows(["conv1d", "conv2d", "conv3d"], Role.STEM, AtZero.AFFINE, Channels.CONVOLUTION),
    **_rows(
        ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"],
        Role.STEM,
        AtZero.AFFINE,
        Channels.CONVOLUTION,
    ),
    "linear": Operator(Role.STEM, AtZero.AFFINE, Channels.COLUMNS),
    "addmm": Operator(Role.STEM, AtZero.AFFINE, Channels.MATERIALISE),
    "embedding": Operator(Role.STEM, AtZero.AFFINE, Channels.MATERIALISE),
    "batch_norm": Operator(Role.NORM, AtZero.AFFINE, Channels.ROWS),
    **_rows(
        ["layer_norm", "group_norm", "instance_norm", "rms_norm"],
        Role.NORM,
        AtZero.AFFINE,
        Channels.MATERIALISE,
    ),
    "prelu": Operator(Role.ACCESSORY, AtZero.KEEPS, Channels.ROWS),
    **_rows(_ACTIVATIONS_AT_ZERO, Role.ACCESSORY, AtZero.KEEPS, Channels.PASS),
    **_rows(_SHIFTING, Role.ACCESSORY, AtZero.SHIFTS, Channels.MATERIALISE),
    **_rows(["softmax", "log_softmax", "logsumexp"], Role.ACCESSORY, AtZero.SHIFTS, Channels.MATERIALISE),
    **_rows(_BY_LITERALS, Role.ACCESSORY, AtZero.MEASURED, Channels.PASS),
    **_rows(_PER_CHANNEL, Role.ACCESSORY, AtZero.KEEPS, Channels.PASS),
    "pad": Operator(Role.SHAPE, AtZero.MEASURED, Channels.MATERIALISE),
    **_rows(["mean", "sum", "amax", "amin"], Role.ACCESSORY, AtZero.KEEPS, Channels.REDUCE),
    **_rows(
        ["var", "std", "linalg_vector_norm", "norm", "cumsum", "diff", "max", "min", "prod", "sort", "topk"],
        Role.ACCESSORY,
        AtZero.KEEPS,
        Channels.MATERIALISE,
    ),
    "flatten": Operator(Role.SHAPE, AtZero.KEEPS, Channels.RESHAPE),
    "permute": Operator(Role.SHAPE, AtZero.KEEPS, Channels.PERMUTE),
    **_rows(_MOVES, Role.SHAPE, AtZero.KEEPS, Channels.MATERIALISE),
    **_rows(
        ["view", "reshape", "squeeze", "unsqueeze", "unflatten"], Role.SHAPE, AtZero.KEEPS, Channels.RESHAPE
    ),
    **_rows(["add", "sub"], Role.ADDITIVE, AtZero.KEEPS, Channels.ADD),
    "cat": Operator(Role.CONCATENATING, AtZero.KEEPS, Channels.CONCATENATE),
    "stack": Operator(Role.SELECTING, AtZero.KEEPS, Channels.MATERIALISE),
    **_rows(_PRODUCTS, Role.MULTIPLICATIVE, AtZero.KEEPS, Channels.MATERIALISE),
    **_rows(_SELECTIONS, Role.SELECTING, AtZero.SHIFTS, Channels.MATERIALISE),
}

VALUE_AT_ZERO = {"sigmoid": 0.5, "hardsigmoid": 0.5, "exp": 1.0, "cos": 1.0, "softplus": math.log(2.0)}
"""What shifting activations are at zero, where one number says it."""


def operator(name: str) -> Operator:
    """The row of an operator; `UNKNOWN` for one that has none.

    Examples:
        >>> operator("relu").at_zero.value, operator("no_such_operator").role.value
        ('keeps', 'unknown')
    """
    return OPERATORS.get(name, UNKNOWN)
