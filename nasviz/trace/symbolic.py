"""Last tracing strategy: `torch.fx`, with some modules kept whole.

Modules of torch.nn, stochastic depth, and modules that `torch.fx` cannot trace into, such as those with
value-dependent control flow, stay whole. The remaining code is traced in evaluation mode. Unless its name
determines it, a call is an unknown operator, which construction feeds with materialized zeros.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, fx, nn

from nasviz.errors import TraceError
from nasviz.trace.export import OPAQUE
from nasviz.trace.fx_vertices import Value, graph_of_fx
from nasviz.trace.network import TracedNetwork, copy_module_tree
from nasviz.trace.parity import ParityInputs

__all__ = ["trace_symbolically"]

_MOST_ATTEMPTS = 50


def trace_symbolically(model: nn.Module, probe: ParityInputs) -> tuple[TracedNetwork, list[str]]:
    """Trace `model` in evaluation mode, and leave it there; also return the paths of modules kept whole.

    Raises:
        TraceError: The code of `model` itself cannot be traced.
    """
    model.eval()
    whole: set[nn.Module] = set()
    graph = _followed(model, whole)
    leaves = {str(n.target): _not_in_place(model, str(n.target)) for n in graph.find_nodes(op="call_module")}
    network = TracedNetwork.of(copy_module_tree(model, leaves), graph, type(model).__name__)
    values = _values(network, _by_placeholder(model, graph, probe.args, probe.kwargs))
    larger = _values(network, _by_placeholder(model, graph, probe.larger_args, probe.larger_kwargs))
    network.trace_graph = graph_of_fx(network, model, values, larger)
    return network, sorted(path for path, module in model.named_modules() if module in whole)


class _Tracer(fx.Tracer):
    def __init__(self, whole: set[nn.Module]) -> None:
        super().__init__()
        self.whole = whole

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Keep torch's own modules, stochastic depth and the modules in `whole` whole."""
        is_kept = m in self.whole or type(m).__name__ in OPAQUE
        return is_kept or super().is_leaf_module(m, module_qualified_name)


def _followed(model: nn.Module, whole: set[nn.Module]) -> fx.Graph:
    """Return the graph of `model`; modules that cannot be traced are added to `whole` one by one."""
    for _ in range(_MOST_ATTEMPTS):
        try:
            return _Tracer(whole).trace(model)
        except Exception as error:  # the user's code, run on proxies, may raise anything
            culprit = next((m for m in _modules_of(error) if m is not model and m not in whole), None)
            if culprit is None:
                raise
            whole.add(culprit)
    raise TraceError(f"{type(model).__name__} has more than {_MOST_ATTEMPTS} modules that cannot be traced")


def _modules_of(error: BaseException) -> Iterator[nn.Module]:
    """Yield the modules in whose code an error was raised, innermost first."""
    frames = []
    position = error.__traceback__
    while position is not None:
        frames.append(position.tb_frame)
        position = position.tb_next
    for frame in reversed(frames):
        owner = frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and frame.f_code.co_name not in ("__call__", "_call_impl"):
            yield owner


def _not_in_place(model: nn.Module, path: str) -> nn.Module:
    """Return the user's module, or an out-of-place copy if it writes to its operand."""
    module = model.get_submodule(path)
    if getattr(module, "inplace", False):
        module = copy.copy(module)
        vars(module)["inplace"] = False
    return module


def _by_placeholder(
    model: nn.Module, graph: fx.Graph, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> list[object]:
    """Return the arguments in placeholder order, without those that keep their defaults."""
    bound = inspect.signature(model.forward).bind(*args, **kwargs).arguments
    return [bound[str(n.target)] for n in graph.find_nodes(op="placeholder") if n.target in bound]


def _values(network: fx.GraphModule, arguments: list[object]) -> dict[str, Value]:
    """Return shape and dtype of every tensor while `network` runs."""
    runner = _Runner(network)
    with torch.no_grad():
        runner.run(*arguments)
    return runner.values


class _Runner(fx.Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.values: dict[str, Value] = {}

    def run_node(self, n: fx.Node) -> object:
        """Run one node, and record shape and dtype of its value."""
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.values[n.name] = Value(tuple(value.shape), str(value.dtype).removeprefix("torch."))
        return value
