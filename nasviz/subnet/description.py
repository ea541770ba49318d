"""A network as data and back: nodes, modules and tensors by name, without executable code.

The generated code of a loaded network is built from names and literals that are validated one by one. It may
call functional aten operators and arithmetic on sizes only.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, fx, nn

from nasviz.errors import ExportError, GraphError, WeightsError
from nasviz.graph import Input
from nasviz.graph.operators.table import BUILT_IN, registered
from nasviz.subnet.modules import build_module, check_identifier, check_path, decode, describe_module, encode
from nasviz.subnet.parity import record_inputs, recorded_inputs
from nasviz.trace.network import BATCH, as_json, check_description, known_description, set_inputs_
from nasviz.trace.network import describe as describe_input

__all__ = ["build", "describe", "distinct_tensors", "function_name", "function_named"]

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
        "local_response_norm adaptive_max_pool2d max_pool2d_with_indices max_unpool2d unsafe_chunk mT hstack "
        "cross_entropy_loss nll_loss nll_loss_nd mse_loss l1_loss smooth_l1_loss huber_loss kl_div "
        "binary_cross_entropy binary_cross_entropy_with_logits"
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


FORMAT = "nasviz sub-network, version 1"
_MOST_NODES = 200_000


def distinct_tensors(net: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return parameters and buffers by first name, and a map of further names to the first ones."""
    named: Iterable[tuple[str, Tensor]] = [
        *net.named_parameters(remove_duplicate=False),
        *net.named_buffers(remove_duplicate=False),
    ]
    first: dict[int, str] = {}
    tensors: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    for name, tensor in named:
        if (known := first.setdefault(id(tensor), name)) == name:
            tensors[name] = tensor
        else:
            aliases[name] = known
    return tensors, aliases


def describe(net: fx.GraphModule) -> dict[str, Any]:
    """Return `net` as JSON data, without the values of its tensors.

    Raises:
        ExportError: It calls a function that is not on the list.
        GraphError: One of its names cannot be written to a file.
    """
    tensors, aliases = distinct_tensors(net)
    modules: dict[str, Any] = {}
    paths: dict[int, str] = {}
    for node in net.graph.nodes:
        if node.op == "call_module" and (path := check_path(node.target)) not in modules:
            module = net.get_submodule(path)
            known = paths.setdefault(id(module), path)
            modules[path] = describe_module(module) if known == path else {"same": known}
    return {
        "format": FORMAT,
        "name": type(net).__name__,
        "training": net.training,
        "inputs": [asdict(virtual) for virtual in recorded_inputs(net) or ()],
        "takes": as_json(known_description(net.graph) or {}),
        "nodes": [_describe_node(node) for node in net.graph.nodes],
        "modules": modules,
        "tensors": {check_path(name): _describe_tensor(net, name, t) for name, t in tensors.items()},
        "aliases": {check_path(name): first for name, first in aliases.items()},
    }


def _describe_node(node: fx.Node) -> dict[str, Any]:
    target = node.target
    return {
        "name": check_identifier(node.name),
        "op": node.op,
        "target": function_name(target) if node.op == "call_function" else str(target),
        "args": [encode(argument) for argument in node.args],
        "kwargs": {key: encode(value) for key, value in node.kwargs.items()},
    }


def _describe_tensor(net: nn.Module, name: str, tensor: Tensor) -> dict[str, Any]:
    path, _, attribute = name.rpartition(".")
    is_parameter = isinstance(tensor, nn.Parameter)
    return {
        "kind": "parameter" if is_parameter else "buffer",
        "shape": list(tensor.shape),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "trains": tensor.requires_grad,
        "persistent": attribute not in net.get_submodule(path)._non_persistent_buffers_set,
    }


def build(data: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> fx.GraphModule:
    """Build the network that `describe` wrote, with these tensors; no code of the file is run.

    Raises:
        GraphError: The description names something that is not on the lists, or contradicts itself.
        WeightsError: The tensors do not match the description.
    """
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise GraphError(f"this is not a description of a network: expected format {FORMAT!r}")
    for key in ("modules", "tensors", "aliases"):
        if not isinstance(data.get(key), Mapping):
            raise GraphError(f"the description has no {key}")
    root = nn.Module()
    _add_modules(root, data["modules"])
    _add_tensors(root, data, tensors)
    graph = _graph(data.get("nodes"), root)
    reserved = [k for k in (*root._modules, *root._parameters, *root._buffers) if hasattr(fx.GraphModule, k)]
    if reserved:
        raise GraphError(f"the name {reserved[0]!r} is reserved by torch.fx")
    inputs = _inputs(data.get("inputs"))
    set_inputs_(graph, _taken(data, graph, inputs))
    net = fx.GraphModule(root, graph, check_identifier(data.get("name")))
    net.graph.lint()
    record_inputs(net, inputs)
    return net.train(bool(data.get("training", True)))


def _taken(data: Mapping[str, Any], graph: fx.Graph, inputs: tuple[Input, ...]) -> dict[str, Any] | None:
    """Return the expected inputs; folders of earlier versions describe only tensor inputs."""
    nodes = graph.find_nodes(op="placeholder")
    if "takes" in data:
        return check_description(data["takes"], [str(node.target) for node in nodes]) or None
    known = {item.id: item for item in inputs}
    if not all(node.name in known for node in nodes):
        return None
    taken = {}
    for node in nodes:
        item = known[node.name]
        kind, _ = describe_input(torch.empty(0, dtype=getattr(torch, item.dtype)), {})
        taken[str(node.target)] = kind, tuple(BATCH if size < 0 else size for size in item.shape)
    return taken


def _inputs(described: Any) -> tuple[Input, ...]:
    """Return the inputs that the network was traced with."""
    if not isinstance(described, list):
        raise GraphError("the description has no inputs")
    inputs = []
    for item in described:
        shape = item.get("shape") if isinstance(item, Mapping) else None
        if not isinstance(shape, list) or not all(isinstance(n, int) and -1 <= n < 1 << 31 for n in shape):
            raise GraphError(f"{item!r:.80} is not an input of a network")
        decode({"dtype": item.get("dtype")}, {})
        inputs.append(Input(check_identifier(item.get("id")), tuple(shape), item["dtype"]))
    return tuple(inputs)


def _add_modules(root: nn.Module, modules: Mapping[str, Any]) -> None:
    for path, described in modules.items():
        scope, name = _scope(root, check_path(path))
        if isinstance(described, Mapping) and set(described) == {"same"}:
            module = _found(root, described["same"])
        else:
            module = build_module(described)
        try:
            scope.add_module(name, module)
        except (KeyError, TypeError) as error:
            raise GraphError(f"{path!r} cannot be the name of a module: {error}") from error


def _scope(root: nn.Module, path: str) -> tuple[nn.Module, str]:
    """Return the module around `path`, created if necessary, and the last part of `path`."""
    *scopes, name = path.split(".")
    for part in scopes:
        child = root._modules.get(part)
        if child is None:
            child = nn.Module()
            try:
                root.add_module(part, child)
            except (KeyError, TypeError) as error:
                raise GraphError(f"{path!r} cannot be the name of a module: {error}") from error
        root = child
    return root, name


def _found(root: nn.Module, path: Any) -> nn.Module:
    try:
        return root.get_submodule(check_path(path))
    except AttributeError as error:
        raise GraphError(f"the description has no module {path!r}") from error


def _add_tensors(root: nn.Module, data: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    if odd := sorted(set(data["tensors"]).symmetric_difference(tensors)):
        raise WeightsError(f"weights and description name different tensors, such as {odd[:5]}")
    for name, described in data["tensors"].items():
        check_path(name)
        _register(root, name, _typed(name, described, tensors[name]), described)
    for name, first in data["aliases"].items():
        if not isinstance(first, str) or first not in data["tensors"]:
            raise GraphError(f"{name!r} is an alias of {first!r}, which is not a tensor of this network")
        scope, attribute = _scope(root, first)
        _register(root, check_path(name), getattr(scope, attribute), data["tensors"][first])
    if lost := [name for name, t in (*root.named_parameters(), *root.named_buffers()) if t.is_meta]:
        raise WeightsError(f"weights are missing for {', '.join(lost[:5])}")


def _typed(name: str, described: Any, tensor: Tensor) -> Tensor:
    """Return the tensor as parameter or buffer, after a check of its shape and dtype."""
    if not isinstance(described, Mapping) or described.get("kind") not in ("parameter", "buffer"):
        raise GraphError(f"{name!r} must be described as parameter or buffer")
    is_wanted = (
        list(tensor.shape) == described.get("shape")
        and str(tensor.dtype) == f"torch.{described.get('dtype')}"
    )
    if not is_wanted:
        raise WeightsError(
            f"{name} should be {described.get('dtype')} of shape {described.get('shape')}, the file has"
            f" {str(tensor.dtype).removeprefix('torch.')} of shape {list(tensor.shape)}"
        )
    if described["kind"] == "buffer":
        return tensor
    trains = described.get("trains") is True and tensor.is_floating_point()
    return nn.Parameter(tensor, requires_grad=trains)


def _register(root: nn.Module, name: str, tensor: Tensor, described: Mapping[str, Any]) -> None:
    """Register a tensor; a module of a known class must already have one of this name and shape."""
    scope, attribute = _scope(root, name)
    if type(scope) is not nn.Module:
        place = scope._parameters.get(attribute, scope._buffers.get(attribute))
        if place is None:
            raise GraphError(f"{type(scope).__name__} at {name!r} has no tensor {attribute!r}")
        if place.shape != tensor.shape:
            raise WeightsError(
                f"{name} has shape {list(tensor.shape)}, its module expects {list(place.shape)}"
            )
        if isinstance(place, nn.Parameter) != isinstance(tensor, nn.Parameter):
            raise GraphError(f"{name!r} must be a {type(place).__name__} of its module")
        setattr(scope, attribute, tensor)
        return
    try:
        if isinstance(tensor, nn.Parameter):
            scope.register_parameter(attribute, tensor)
        else:
            scope.register_buffer(attribute, tensor, persistent=described.get("persistent") is not False)
    except (KeyError, TypeError) as error:
        raise GraphError(f"{name!r} cannot be the name of a tensor: {error}") from error


def _graph(described: Any, root: nn.Module) -> fx.Graph:
    if not isinstance(described, list) or not 0 < len(described) <= _MOST_NODES:
        raise GraphError(f"a network must have 1 to {_MOST_NODES:,} nodes")
    graph, nodes = fx.Graph(), dict[str, fx.Node]()
    for item in described:
        if not isinstance(item, Mapping) or set(item) != {"name", "op", "target", "args", "kwargs"}:
            raise GraphError("a node must have exactly a name, an op, a target, args and kwargs")
        name = check_identifier(item["name"])
        if name in nodes or not isinstance(item["args"], list) or not isinstance(item["kwargs"], Mapping):
            raise GraphError(f"node {name!r} is defined twice, or its arguments are not a list and a dict")
        args = tuple(decode(argument, nodes) for argument in item["args"])
        kwargs = {check_identifier(key): decode(value, nodes) for key, value in item["kwargs"].items()}
        target = _target(item["op"], item["target"], root)
        if item["op"] == "output":
            if len(args) != 1:
                raise GraphError(f"the output has one argument, not {len(args)}")
            graph.output(args[0])
            return graph
        nodes[name] = graph.create_node(item["op"], target, args, kwargs, name)
        if nodes[name].name != name:
            raise GraphError(f"{name!r} cannot be the name of a node")
    raise GraphError("the network has no output")


def _target(op: Any, target: Any, root: nn.Module) -> Any:
    """Return what a node calls or reads, if allowed."""
    if op in ("placeholder", "output"):
        return check_identifier(target)
    if op == "call_function":
        return function_named(target)
    if op == "call_module":
        if type(_found(root, target)) is nn.Module:
            raise GraphError(f"{target!r} is not a callable module")
        return target
    if op == "get_attr":
        path, _, attribute = check_path(target).rpartition(".")
        scope = _found(root, path) if path else root
        if not isinstance(getattr(scope, attribute, None), torch.Tensor):
            raise GraphError(f"the network has no tensor {target!r}")
        return target
    raise GraphError(f"{op!r} is not a kind of node that a file may hold")
