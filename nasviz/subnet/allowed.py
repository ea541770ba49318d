"""Functions that a saved network may call: functional aten operators and arithmetic on sizes, by name."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import torch

from nasviz.errors import ExportError, GraphError
from nasviz.graph.operators.registration import registered
from nasviz.graph.operators.table import BUILT_IN

__all__ = ["function_name", "function_named"]

# Beyond the operator table: functional operators without a rule, which run as opaque vertices.
_FURTHER = frozenset(
    (
        "sym_size new_full new_zeros new_ones full zeros ones zeros_like ones_like full_like arange "
        "slice_scatter select_scatter zero fill bernoulli rand_like randn_like constant_pad_nd glu hardtanh "
        "eq ne lt le gt ge logical_not logical_and logical_or bitwise_not bitwise_and bitwise_or "
        "__and__ __or__ "
        "maximum minimum argmax argmin any all cumprod outer addmv tril triu scalar_tensor lerp special_erf "
        "feature_alpha_dropout channel_shuffle native_channel_shuffle upsample_nearest_exact2d grid_sampler "
        "affine_grid_generator linalg_norm cosine_similarity pairwise_distance cdist bucketize one_hot isnan "
        "isinf frac trunc hypot atan2 xlogy logaddexp softmax log_softmax true_divide floor_divide conv_tbc "
        "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell "
        "fft_fft fft_ifft fft_rfft fft_irfft fft_fft2 fft_ifft2 fft_rfft2 fft_irfft2 fft_fftn fft_ifftn "
        "fft_rfftn fft_irfftn fft_fftshift fft_ifftshift view_as_complex view_as_real real imag complex "
        "polar angle conj "
        "local_response_norm adaptive_max_pool2d max_pool2d_with_indices max_unpool2d unsafe_chunk mT hstack"
    ).split()
)
_ALLOWED = (frozenset(BUILT_IN) | _FURTHER) - {"stochastic_depth", "getitem", "index_put"}
_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "getitem": operator.getitem,
    "mul": operator.mul,
    "add": operator.add,
    "sub": operator.sub,
    "floordiv": operator.floordiv,
}
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\.([A-Za-z_][A-Za-z0-9_]*)\.([A-Za-z_][A-Za-z0-9_]*)")


def function_name(function: Any) -> str:
    """Return the name under which `function_named` finds a function.

    Raises:
        ExportError: It is not on the list.
    """
    if isinstance(function, torch._ops.OpOverload):
        name = str(function)
        if _is_allowed(name):
            return name
    for name, known in _ARITHMETIC.items():
        if function is known:
            return f"operator.{name}"
    raise ExportError(
        f"{function} cannot be saved as data: it is not on the list of operators that a file may call;"
        " register an operator of your own (nasviz.register_operator), export to ONNX, or save the state_dict"
    )


def function_named(name: Any) -> Callable[..., Any]:
    """Return the function of this name.

    Raises:
        GraphError: It is not on the list.
    """
    if (
        isinstance(name, str)
        and name.removeprefix("operator.") in _ARITHMETIC
        and name.startswith("operator.")
    ):
        return _ARITHMETIC[name.removeprefix("operator.")]
    if isinstance(name, str) and _is_allowed(name):
        library, packet, overload = name.split(".")
        return getattr(getattr(getattr(torch.ops, library), packet), overload)  # type: ignore[no-any-return]
    raise GraphError(
        f"the operator {name!r} is not on the list of operators that a file may call; import first what"
        " registers an operator of your own (nasviz.register_operator)"
    )


def _is_allowed(name: str) -> bool:
    """Return whether `LIBRARY.NAME.OVERLOAD` is listed or registered, exists and writes to no argument."""
    found = _NAME.fullmatch(name)
    if found is None:
        return False
    library, operator_name, overload = found.groups()
    if library == "aten":
        is_listed = operator_name in _ALLOWED
    else:  # only what this process registered: a file cannot make it look for other operators
        is_listed = registered(f"{library}::{operator_name}") is not None
    packet = getattr(getattr(torch.ops, library), operator_name, None) if is_listed else None
    if packet is None or overload not in packet.overloads():
        return False
    return not getattr(packet, overload)._schema.is_mutable
