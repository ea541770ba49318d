"""The rules of all operators that nasviz knows, one per operator, and those that other libraries register.

Named as in `torch.ops.aten`, without overload and without the underscore of in-place variants; operators of
other libraries with their library, as `library::name`. A registered rule is plain data. It travels with the
trace graph (`Vertex.declaration`), so that a graph reads the same where the library is not installed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

from nasviz.errors import ArgumentError, GraphError, InvalidSettingError
from nasviz.graph.operators import moves, values
from nasviz.graph.operators.rules import (
    INPUTS,
    MEASURED,
    UNKNOWN,
    OperatorRule,
    Role,
    addcmul,
    apart,
    attention,
    broadcast,
    convolution,
    einsum,
    group_norm,
    linear,
    quotient,
)
from nasviz.graph.operators.values import Value

if TYPE_CHECKING:
    from nasviz.graph.trace_graph import Vertex

__all__ = [
    "BUILT_IN",
    "RULES",
    "Registered",
    "declared",
    "register_operator",
    "registered",
    "rule",
]


def _all(names: str, made: OperatorRule) -> dict[str, OperatorRule]:
    return dict.fromkeys(names.split(), made)


def _over(argument: str) -> Callable[[Mapping[str, Any]], tuple[str, ...]]:
    return lambda given: tuple(f"{argument}.{place}" for place in range(len(given.get(argument) or ())))


def _activation(
    value: Value | None = None, zero: str | None = INPUTS, role: Role = Role.ACCESSORY
) -> OperatorRule:
    """Return the rule of an operator that acts on each number by itself."""
    return OperatorRule(role=role, zero=zero, acts_on="numbers", value=value)


def _pool(value: Value | None = values.same) -> OperatorRule:
    """Return the rule of an operator that acts on each channel by itself."""
    return OperatorRule(role=Role.ACCESSORY, zero=INPUTS, acts_on="channels", value=value)


def _shape(move: Any = None, value: Value = values.same) -> OperatorRule:
    """Return the rule of an operator that moves values."""
    return OperatorRule(role=Role.SHAPE, zero=INPUTS, move=move, value=value)


def _reduction(value: Value | None = None) -> OperatorRule:
    return OperatorRule(role=Role.ACCESSORY, zero=INPUTS, move=moves.reduced, value=value)


def _normalisation(kind: str, axis: int, zero: Any = "input * weight + bias") -> OperatorRule:
    """Return the rule of a norm whose statistics mix channels."""
    why = f"{{name}} ({kind}) normalises over its channels: without some the others change" if kind else ""
    return OperatorRule(
        role=Role.NORM,
        arguments=("input", "weight", "bias"),
        zero=zero,
        axes=apart,
        channel_axis=axis,
        keeps_channels=why,
    )


def _unpadded(vertex: Vertex) -> bool:
    """Return whether a constant meets the same weights everywhere: not at a padded border."""
    padding = vertex.attributes.get("padding")
    may_pad = any(padding) if isinstance(padding, tuple) else padding != "valid"
    is_plain = vertex.attributes.get("groups", 1) == 1 and not vertex.attributes.get("transposed")
    return bool(vertex.module) and is_plain and not may_pad


def _attention_scale(vertex: Vertex, size: int) -> dict[str, int | float]:
    # By default it follows from the number of dimensions, which must not change the result.
    scale = vertex.attributes.get("scale")
    return {"scale": scale if isinstance(scale, float) else size**-0.5}


_CONVOLUTION = OperatorRule(
    role=Role.STEM,
    arguments=("input", "weight", "bias"),
    zero="input * weight + bias",
    axes=convolution,
    literals=frozenset(["groups"]),
    macs=lambda result, given, weight: prod(result) * prod(weight[1:]),
    folds=_unpadded,
    channel_axis=1,
)
_PRODUCT = OperatorRule(
    role=Role.MULTIPLICATIVE,
    arguments=("self", "mat2"),
    zero="self * mat2",
    axes="... i j, ... j k -> ... i k",
    weight="mat2",
    macs=lambda result, given, weight: prod(result) * (weight[-2] if len(weight) > 1 else weight[0]),
)
_SUM = OperatorRule(
    role=Role.ADDITIVE,
    arguments=("self", "other"),
    zero="self + other * alpha",
    axes=broadcast,
    acts_on="numbers",
)

BUILT_IN: dict[str, OperatorRule] = {
    # Linear maps
    **_all("conv1d conv2d conv3d", _CONVOLUTION),
    **_all(
        "conv_transpose1d conv_transpose2d conv_transpose3d",
        replace(_CONVOLUTION, macs=lambda result, given, weight: prod(given) * prod(weight[1:])),
    ),
    "linear": OperatorRule(
        role=Role.STEM,
        arguments=("input", "weight", "bias"),
        zero="input * weight + bias",
        axes=linear,
        sizes={"in_features": "i", "out_features": "o"},
        macs=lambda result, given, weight: prod(result) * weight[-1],
        folds=lambda vertex: bool(vertex.module) and not vertex.attributes.get("transposed"),
        channel_axis=-1,
    ),
    "addmm": OperatorRule(
        role=Role.STEM,
        arguments=("self", "mat1", "mat2"),
        zero="mat1 * mat2 * alpha + self * beta",
        axes="* o, n i, i o -> n o",
        weight="mat2",
        macs=_PRODUCT.macs,
        channel_axis=-1,
    ),
    "embedding": OperatorRule(role=Role.STEM, zero="weight", channel_axis=-1),
    # Norms
    "batch_norm": OperatorRule(
        role=Role.NORM,
        arguments=("input", "weight", "bias", "running_mean", "running_var"),
        zero="1 * weight + bias",
        axes="n c ..., c, c, c, c -> n c ...",
        sizes={"num_features": "c"},
        channel_axis=1,
    ),
    "layer_norm": _normalisation("LayerNorm", -1),
    "rms_norm": _normalisation("RMSNorm", -1, "input * weight"),
    "group_norm": OperatorRule(
        role=Role.NORM,
        arguments=("input", "weight", "bias"),
        zero="input * weight + bias",
        axes=group_norm,
        literals=frozenset(["num_groups"]),
        channel_axis=1,
    ),
    "instance_norm": OperatorRule(
        role=Role.NORM,
        arguments=("input", "weight", "bias", "running_mean", "running_var"),
        # With running statistics it shifts zero.
        zero=lambda given: f"{'input' if given['running_mean'] is None else '1'} * weight + bias",
        axes="n c ..., c, c, c, c -> n c ...",
        channel_axis=1,
    ),
    # Activations: what each makes of one number
    "relu": _activation(lambda x, _: max(x, 0.0)),
    "relu6": _activation(lambda x, _: min(max(x, 0.0), 6.0)),
    "gelu": _activation(values.gelu),
    "silu": _activation(lambda x, _: x * values.sigmoid(x)),
    "hardswish": _activation(lambda x, _: x * values.ramp(x) / 6),
    "leaky_relu": _activation(lambda x, given: x if x > 0 else x * given["negative_slope"]),
    "mish": _activation(lambda x, _: x * math.tanh(values.softplus(x))),
    "elu": _activation(values.elu),
    "tanh": _activation(lambda x, _: math.tanh(x)),
    "sin": _activation(lambda x, _: math.sin(x)),
    "abs": _activation(lambda x, _: abs(x)),
    "neg": _activation(lambda x, _: -x),
    "sqrt": _activation(lambda x, _: math.sqrt(x)),
    "square": _activation(lambda x, _: x * x),
    "erf": _activation(lambda x, _: math.erf(x)),
    "expm1": _activation(lambda x, _: math.expm1(x)),
    "log1p": _activation(lambda x, _: math.log1p(x)),
    **_all(
        "asin atan sinh asinh tan sign round floor ceil trunc softsign softshrink hardshrink tanhshrink selu"
        " celu rrelu dropout feature_dropout alpha_dropout",
        _activation(),
    ),
    "sigmoid": _activation(lambda x, _: values.sigmoid(x), None),
    "hardsigmoid": _activation(lambda x, _: values.ramp(x) / 6, None),
    "softplus": _activation(
        lambda x, given: values.softplus(x, given.get("beta", 1), given.get("threshold", 20)), None
    ),
    "exp": _activation(lambda x, _: math.exp(x), None),
    "cos": _activation(lambda x, _: math.cos(x), None),
    "log": _activation(lambda x, _: math.log(x), None),
    "rsqrt": _activation(lambda x, _: 1 / math.sqrt(x), None),
    "reciprocal": _activation(lambda x, _: 1 / x, None),
    **_all("log_sigmoid exp2 cosh log2 log10 erfc logit", _activation(None, None)),
    "hardtanh": _activation(lambda x, given: min(max(x, given["min_val"]), given["max_val"]), MEASURED),
    "clamp": _activation(values.clamp, MEASURED),
    "clamp_min": _activation(lambda x, given: max(x, given["min"]), MEASURED),
    "clamp_max": _activation(lambda x, given: min(x, given["max"]), MEASURED),
    "pow": _activation(lambda x, given: math.pow(x, given["exponent"]), MEASURED),
    "rsub": _activation(lambda x, given: given["other"] - given["alpha"] * x, MEASURED),
    **_all("threshold fmod remainder nan_to_num", _activation(None, MEASURED)),
    "prelu": OperatorRule(
        role=Role.ACCESSORY,
        arguments=("self", "weight"),
        zero=INPUTS,
        axes="n c ..., c -> n c ...",
        sizes={"num_parameters": "c"},
    ),
    **_all("softmax log_softmax", OperatorRule(role=Role.ACCESSORY, arguments=("self",), axes=apart)),
    "logsumexp": OperatorRule(role=Role.ACCESSORY),
    # Pools, resampling, copies
    **_all(
        "max_pool1d max_pool2d max_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d"
        " adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d upsample_nearest1d upsample_nearest2d"
        " upsample_nearest3d upsample_bilinear2d upsample_linear1d upsample_trilinear3d",
        _pool(),
    ),
    **_all("avg_pool1d avg_pool2d avg_pool3d", _pool(values.average)),
    "upsample_bicubic2d": _pool(None),
    **_all("alias clone contiguous detach", replace(_activation(values.same), move=moves.copied)),
    **_all("to _to_copy type_as", _activation(values.same)),
    "stochastic_depth": _activation(),
    # Moves
    **_all("view reshape unflatten", _shape(partial(moves.reshaped, has_sizes=True))),
    "flatten": _shape(partial(moves.reshaped, merges=True)),
    "squeeze": _shape(partial(moves.reshaped, squeezes=True)),
    "unsqueeze": _shape(moves.reshaped),
    **_all("permute transpose swapaxes t numpy_T mT", _shape(moves.turned)),
    **_all("chunk split split_with_sizes", _shape(moves.cut)),
    "unbind": _shape(partial(moves.cut, drops=True)),
    "getitem": replace(_shape(), takes_piece=True),
    "slice": _shape(moves.window),
    "select": _shape(moves.selected),
    **_all("roll flip", _shape(moves.local)),
    **_all("pixel_shuffle pixel_unshuffle", _shape(moves.pixel_shuffled)),
    "channel_shuffle": _shape(moves.shuffled),
    "pad": OperatorRule(role=Role.SHAPE, zero=MEASURED, move=moves.padded, value=values.pad),
    **_all(
        "narrow view_as reshape_as im2col col2im unfold movedim",
        _shape(),
    ),
    **_all("expand expand_as", _shape(moves.expanded)),
    **_all("repeat repeat_interleave", _shape(moves.repeated)),
    # Reductions
    **_all("mean amax amin", _reduction(values.same)),
    "sum": _reduction(values.total),
    **_all("norm cumsum diff prod", OperatorRule(role=Role.ACCESSORY, zero=INPUTS)),
    **_all("var std linalg_vector_norm", _reduction()),
    **_all("max min sort topk", OperatorRule(role=Role.ACCESSORY)),
    # Joints
    "add": replace(
        _SUM,
        value=lambda x, given: x + given["alpha"] * given["other"],
        combine=lambda numbers, given: numbers[0] + given.get("alpha", 1) * numbers[1],
    ),
    "sub": replace(
        _SUM,
        value=lambda x, given: x - given["alpha"] * given["other"],
        combine=lambda numbers, given: numbers[0] - given.get("alpha", 1) * numbers[1],
    ),
    "cat": OperatorRule(role=Role.CONCATENATING, zero=lambda given: " + ".join(_over("tensors")(given))),
    "stack": OperatorRule(role=Role.SELECTING, zero=lambda given: " + ".join(_over("tensors")(given))),
    "mul": OperatorRule(
        role=Role.MULTIPLICATIVE,
        arguments=("self", "other"),
        zero="self * other",
        axes=broadcast,
        acts_on="numbers",
        value=lambda x, given: x * given["other"],
        combine=lambda numbers, given: prod(numbers),
    ),
    "div": OperatorRule(
        role=Role.MULTIPLICATIVE,
        arguments=("self", "other"),
        zero="self / other",
        axes=quotient,
        acts_on="numbers",
        value=values.divided,
    ),
    "matmul": replace(_PRODUCT, arguments=("self", "other"), zero="self * other", weight="other"),
    "mm": _PRODUCT,
    "bmm": replace(_PRODUCT, macs=None),
    "einsum": OperatorRule(
        role=Role.MULTIPLICATIVE,
        arguments=tuple(f"tensors.{place}" for place in range(8)),
        zero=lambda given: " * ".join(_over("tensors")(given)),
        axes=einsum,
    ),
    "scaled_dot_product_attention": OperatorRule(
        role=Role.MULTIPLICATIVE,
        arguments=("query", "key", "value", "attn_mask"),
        zero="value",
        axes=attention,
        on_sum=_attention_scale,
        keeps_channels="it feeds attention ({name}), where only heads or equal dimensions of all can go",
        keeps_operands="it feeds attention ({name}), where zeros still take part in the softmax",
    ),
    "addcmul": OperatorRule(
        role=Role.MULTIPLICATIVE,
        arguments=("self", "tensor1", "tensor2"),
        zero="self + tensor1 * tensor2 * value",
        axes=addcmul,
    ),
    "addcdiv": OperatorRule(role=Role.MULTIPLICATIVE),
    "bilinear": OperatorRule(role=Role.MULTIPLICATIVE, zero="input1 * input2 * weight + bias"),
    "baddbmm": OperatorRule(role=Role.MULTIPLICATIVE, zero="batch1 * batch2 * alpha + self * beta"),
    "index_select": OperatorRule(role=Role.SELECTING, zero="self"),
    "where": OperatorRule(role=Role.SELECTING, arguments=("condition", "self", "other"), axes=broadcast),
    "masked_fill": OperatorRule(role=Role.SELECTING, arguments=("self", "mask", "value"), axes=broadcast),
    **_all(
        "index gather scatter minimum maximum index_put index_copy take_along_dim",
        OperatorRule(role=Role.SELECTING),
    ),
}
RULES: dict[str, OperatorRule] = dict(BUILT_IN)
"""Built-in rules, and those that were registered."""


def rule(name: str) -> OperatorRule:
    """Return the rule of an operator; `UNKNOWN` for one that has none.

    Examples:
        >>> rule("relu").zero, rule("no_such_operator").role.value
        ('inputs', 'unknown')
    """
    return RULES.get(name, UNKNOWN)


T = TypeVar("T")
_ROLES = (Role.STEM, Role.NORM, Role.ACCESSORY, Role.SHAPE, Role.MULTIPLICATIVE, Role.SELECTING)


@dataclass(frozen=True, slots=True)
class Registered:
    """An operator of another library, with what exports need of it."""

    name: str
    """As `library::operator`."""
    declaration: str
    """Its rule as JSON."""
    module: str
    """Module that defines it; Python source of a network imports it."""
    decomposition: Callable[..., Any] | None
    onnx: Callable[..., Any] | None


_REGISTERED: dict[str, Registered] = {}


def register_operator(
    operator: Any = None,
    /,
    *,
    role: str = "accessory",
    zero: str | None = INPUTS,
    axes: str | None = None,
    acts_on: str = "",
    arguments: tuple[str, ...] | None = None,
    sizes: Mapping[str, str] | None = None,
    decomposition: Callable[..., Any] | None = None,
    onnx: Callable[..., Any] | None = None,
    module: str | None = None,
) -> Any:
    """Give an operator of `torch.library` a rule, so that nasviz can remove, slice and export it.

    Used as a decorator above `torch.library.custom_op`, or called with an operator or its name,
    `library::operator`. Registering a name again replaces its rule.

    Args:
        operator: What `torch.library.custom_op` returns, an operator of `torch.ops`, or a name.
        role: What it is in a dependency graph: `stem`, `norm`, `accessory`, `shape`, `multiplicative` or
            `selecting`.
        zero: When its result is exactly zero: a sum of products of its arguments, such as `x * gain + bias`;
            `inputs` where all that it reads is zero; `None` where it is not.
        axes: How the axes of its tensor arguments correspond to those of its result, argument by argument:
            `n c ..., c -> n c ...`. Axes of one name correspond index by index; a name that the result lacks
            is summed over; `*` stands for axes along which nothing can be cut, and so does a name that
            begins with a capital letter.
        acts_on: `numbers` for an operator that acts on each number by itself, `channels` for one that acts on
            each index of axis 1 by itself; needs no `axes`.
        arguments: Names of its tensor arguments in order; read from its schema where `operator` has one.
        sizes: Arguments that count an axis, with its name in `axes`: they shrink with it.
        decomposition: A function of the same arguments made of torch's own operators; ONNX files have it.
        onnx: A translation for `torch.onnx`, by onnxscript; it goes before `decomposition`.
        module: Module that defines it, which the Python source of a saved network imports; read from
            `operator` where it is a `torch.library.custom_op`.

    Raises:
        ArgumentError: `operator` is no operator, or an operator of torch itself.
        InvalidSettingError: A part of the rule is not understood.

    Examples:
        >>> register_operator("docs::swish", zero="x", acts_on="numbers", arguments=("x",))
        'docs::swish'
    """
    settings: dict[str, Any] = {
        "role": role,
        "zero": zero,
        "axes": axes,
        "acts_on": acts_on,
        "arguments": arguments,
        "sizes": dict(sizes or {}),
    }

    def register(found: T) -> T:
        name = _name(found)
        given = settings if arguments is not None else settings | {"arguments": _tensor_arguments(found)}
        declaration = json.dumps(given, sort_keys=True)
        try:
            RULES[name] = _rule(given)
        except (TypeError, ValueError) as error:
            raise InvalidSettingError(f"the rule of {name} cannot be used: {error}") from error
        home = module or str(getattr(getattr(found, "_init_fn", None), "__module__", ""))
        _REGISTERED[name] = Registered(name, declaration, home, decomposition, onnx)
        return found

    return register if operator is None else register(operator)


def registered(name: str) -> Registered | None:
    """Return what was registered under `library::operator`; `None` where nothing was."""
    return _REGISTERED.get(name)


@lru_cache(maxsize=256)
def declared(declaration: str) -> OperatorRule:
    """Return the rule that a declaration describes.

    Raises:
        GraphError: It is none; it may come from a file.
    """
    try:
        return _rule(json.loads(declaration))
    except (ValueError, TypeError, RecursionError) as error:
        raise GraphError(f"the rule of an operator cannot be read: {error}") from error


def _rule(given: Any) -> OperatorRule:
    if not isinstance(given, dict) or set(given) != {"role", "zero", "axes", "acts_on", "arguments", "sizes"}:
        raise ValueError("it must have a role, zero, axes, acts_on, arguments and sizes")
    role, sizes, arguments = Role(given["role"]), given["sizes"], given["arguments"] or ()
    if role not in _ROLES:
        raise ValueError(f"role={role.value!r}: choose one of {', '.join(r.value for r in _ROLES)}")
    for name in ("zero", "axes", "acts_on"):
        if not isinstance(given[name], str | None):
            raise TypeError(f"{name}={given[name]!r} is no text")
    if given["acts_on"] not in ("", "numbers", "channels"):
        raise ValueError(f"acts_on={given['acts_on']!r}: choose numbers or channels")
    texts = (*arguments, *sizes.values()) if isinstance(sizes, dict) else (None,)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("arguments and sizes hold names")
    if given["axes"] and given["axes"].partition("->")[0].count(",") >= len(arguments):
        raise ValueError(f"axes={given['axes']!r} describes more arguments than {', '.join(arguments)}")
    return OperatorRule(
        role=role,
        zero=given["zero"],
        axes=given["axes"],
        acts_on=given["acts_on"],
        arguments=tuple(arguments),
        sizes=sizes,
        literals=frozenset(sizes),
    )


def _name(operator: Any) -> str:
    """Return `library::operator`."""
    schema = getattr(operator, "_schema", None)
    found = (
        operator
        if isinstance(operator, str)
        else getattr(operator, "_qualname", None)
        or getattr(operator, "_qualified_op_name", None)
        or getattr(schema, "name", None)
    )
    if not isinstance(found, str) or found.count("::") != 1:
        raise ArgumentError(
            f"{operator!r:.80} is no operator of a library; give what torch.library.custom_op returns, an"
            " operator of torch.ops, or a name such as 'mylib::swish'"
        )
    if found.startswith(("aten::", "prim::", "nasviz::")):
        raise ArgumentError(f"{found} belongs to torch or nasviz, which have rules of their own")
    return found


def _tensor_arguments(operator: Any) -> tuple[str, ...]:
    """Return the names of the tensor arguments in the schema of an operator; none where it has no schema."""
    overload = getattr(operator, "_opoverload", None) or getattr(operator, "default", operator)
    schema = getattr(overload, "_schema", None)
    types = ("Tensor", "Optional[Tensor]", "List[Tensor]")
    return tuple(a.name for a in schema.arguments if str(a.type) in types) if schema is not None else ()
