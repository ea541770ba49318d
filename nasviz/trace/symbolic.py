"""The last way of tracing: `torch.fx`, with some modules kept whole.

Kept whole are torch's own modules, random depth, and every module that `torch.fx` cannot look into, such as
one whose control flow follows values. What the remaining code does is fixed to evaluation mode. Little is
claimed about what is found: unless its name says enough, a call is an unknown operator, which construction
feeds with materialised zeros.
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
from nasviz.trace.network import TracedNetwork, grow
from nasviz.trace.parity import Probe

__all__ = ["trace_symbolically"]

_MOST_ATTEMPTS = 50


def trace_symbolically(model: nn.Module, probe: Probe) -> tuple[TracedNetwork, list[str]]:
    """Trace `model`, which is put in evaluation mode and left there; also say which modules are kept whole.

    Raises:
        TraceError: The code of `model` itself cannot be followed.
    """
    model.eval()
    whole: set[nn.Module] = set()
    graph = _followed(model, whole)
    leaves = {str(n.target): _not_in_place(model, str(n.target)) for n in graph.find_nodes(op="call_module")}
    network = TracedNetwork.of(grow(model, leaves), graph, type(model).__name__)
    values = _values(network, _by_placeholder(model, graph, probe.args, probe.kwargs))
    larger = _values(network, _by_placeholder(model, graph, probe.larger_args, probe.larger_kwargs))
    network.trace_graph = graph_of_fx(network, model, values, larger)
    return network, sorted(path for path, module in model.named_modules() if module in whole)


class _Tracer(fx.Tracer):
    def __init__(self, whole: set[nn.Module]) -> None:
        super().__init__()
        self.whole = whole

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Keep torch's own modules, random depth and `whole` ones whole."""
        is_kept = m in self.whole or type(m).__name__ in OPAQUE
        return is_kept or super().is_leaf_module(m, module_qualified_name)


def _followed(model: nn.Module, whole: set[nn.Module]) -> fx.Graph:
    """The graph of `model`; the modules that cannot be followed are added to `whole`, one after the other."""
    for _ in range(_MOST_ATTEMPTS):
        try:
            return _Tracer(whole).trace(model)
        except Exception as error:  # the user's code, run on proxies, raises whatever it likes
            culprit = next((m for m in _modules_of(error) if m is not model and m not in whole), None)
            if culprit is None:
                raise
            whole.add(culprit)
    raise TraceError(f"{type(model).__name__} has more than {_MOST_ATTEMPTS} modules that cannot be followed")


def _modules_of(error: BaseException) -> Iterator[nn.Module]:
    """Modules in whose code an error was raised, innermost first."""
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
    """The user's module; where it writes to its operand, a twin that does not."""
    module = model.get_submodule(path)
    if getattr(module, "inplace", False):
        module = copy.copy(module)
        vars(module)["inplace"] = False
    return module


def _by_placeholder(
    model: nn.Module, graph: fx.Graph, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> list[object]:
    """Arguments in the order of the placeholders; those left out keep their defaults."""
    bound = inspect.signature(model.forward).bind(*args, **kwargs).arguments
    return [bound[str(n.target)] for n in graph.find_nodes(op="placeholder") if n.target in bound]


def _values(network: fx.GraphModule, arguments: list[object]) -> dict[str, Value]:
    """Shape and dtype of every tensor while `network` runs."""
    runner = _Runner(network)
    with torch.no_grad():
        runner.run(*arguments)
    return runner.values


class _Runner(fx.Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.values: dict[str, Value] = {}

    def run_node(self, n: fx.Node) -> object:
        """Run one node, and look at what comes out."""
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.values[n.name] = Value(tuple(value.shape), str(value.dtype).removeprefix("torch."))
        return value
