"""Export of a network to one flat graph of aten operators; the only user of `torch.export`.

The exported graph is passed on in a plain form: parameters, buffers and constants are `get_attr` nodes under
their names, placeholders are the arguments of the user's `forward`, regions without gradient are inlined, and
the output is one flat tuple.
"""

from __future__ import annotations

import inspect
import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from nasviz.trace.leaves import Position
from nasviz.trace.regions import inline_regions

__all__ = ["OPAQUE", "Program", "argument_names", "export_program", "opaque"]

OPAQUE = frozenset({"StochasticDepth", "DropPath"})
"""Classes of modules that are kept whole: they draw one number per sample and depend on the mode."""

_BOOKKEEPING = (
    "_assert_tensor_metadata _assert_scalar _assert_async sym_constrain_range sym_constrain_range_for_size"
).split()


@torch.library.custom_op("nasviz::opaque", mutates_args=())
def opaque(x: Tensor) -> Tensor:
    """Replace a module of `OPAQUE` during export."""
    return x.clone()


@opaque.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


@dataclass
class Program:
    """An exported network: a flat graph and the tensors that it names."""

    graph: fx.Graph
    tensors: dict[str, Tensor]
    """Parameters and buffers of the user's module under all their names, and the constants of the graph."""
    arguments: Any
    """Arguments by name; the values are placeholders in the user's nesting."""
    form: Any
    """Output of the user's network with `Position`s in place of tensors."""
    trained: bool
    """Whether it was exported in training mode."""
    constants: set[str] = field(default_factory=set)
    """Names in `tensors` that are not the user's."""

    def name_constant(self, value: Tensor) -> str:
        """Store `value` under a new name, and return the name."""
        name = f"constant_{len(self.constants)}"
        while name in self.tensors:
            name += "_"
        self.tensors[name] = value.detach()
        self.constants.add(name)
        return name


def export_program(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    train: bool,
    dynamic: bool,
) -> Program:
    """Export `model`, which is put in training or evaluation mode and left there.

    With `dynamic`, the batch is the first axis of every tensor that is as long there as the first tensor.
    """
    model.train(train)
    leaves = [leaf for leaf in pytree.tree_leaves((args, dict(kwargs))) if isinstance(leaf, Tensor)]
    batch = torch.export.Dim("batch", min=1)
    shapes = torch.export.ShapesCollection()  # type: ignore[no-untyped-call]
    for leaf in leaves if dynamic else ():
        if leaf.dim() > 0 and leaf.shape[0] == leaves[0].shape[0]:
            shapes[leaf] = {0: batch}
    chatter = redirect_stderr(io.StringIO())  # torch prints the graph that it could not finish
    axes = shapes if dynamic else None
    with warnings.catch_warnings(), chatter, torch.enable_grad(), _opaque_modules(model):
        warnings.simplefilter("ignore")
        exported = torch.export.export(model, args, dict(kwargs), dynamic_shapes=axes, strict=False)
    return _plain(exported, model, args, kwargs, train)


@contextmanager
def _opaque_modules(model: nn.Module) -> Iterator[None]:
    """Replace each module of `OPAQUE` by one operator."""
    replaced = [m for m in model.modules() if type(m).__name__ in OPAQUE and "forward" not in vars(m)]
    for module in replaced:
        module.forward = opaque  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in replaced:
            del module.forward


def argument_names(model: nn.Module, count: int) -> list[str]:
    """Return the names of the first `count` parameters of `forward`."""
    names: list[str] = []
    for parameter in inspect.signature(model.forward).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}_{i}" for i in range(count - len(names))]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    return names[:count]


def _plain(
    exported: torch.export.ExportedProgram,
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    train: bool,
) -> Program:
    """Convert an exported program to the form that later passes read."""
    inline_regions(exported.graph_module)
    graph, signature = exported.graph_module.graph, exported.graph_signature
    tensors: dict[str, Tensor] = dict(model.named_parameters(remove_duplicate=False))
    tensors |= dict(model.named_buffers(remove_duplicate=False))
    program = Program(graph, tensors, arguments=None, form=None, trained=train)

    named = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    constants = dict(signature.inputs_to_lifted_tensor_constants)
    inputs = []
    for node in list(graph.nodes):
        if node.op != "placeholder":
            continue
        if node.name in named:
            _read_attribute(graph, node, named[node.name])
        elif node.name in constants:
            value = exported.constants[constants[node.name]]
            _read_attribute(graph, node, program.name_constant(value))
        else:
            inputs.append(node)
    flat_args, spec = pytree.tree_flatten((args, dict(kwargs)))
    assert len(flat_args) == len(inputs), "one placeholder for every leaf of the arguments"
    positional, keywords = pytree.tree_unflatten(inputs, spec)
    program.arguments = dict(zip(argument_names(model, len(args)), positional, strict=True)) | keywords

    for node in list(graph.nodes):  # checks of export, and attributes that the module assigns
        name = getattr(node.target, "_schema", None) and node.target._schema.name.split("::")[-1]
        if node.op == "call_function" and (name in _BOOKKEEPING or (name == "copy_" and _replaces(node))):
            graph.erase_node(node)
    output = next(iter(reversed(graph.nodes)))
    specs = signature.output_specs
    kept = [value for value, s in zip(output.args[0], specs, strict=True) if s.kind.name == "USER_OUTPUT"]
    nodes = [value for value in kept if isinstance(value, fx.Node)]
    positions = iter(range(len(nodes)))
    marks = [Position(next(positions)) if isinstance(value, fx.Node) else value for value in kept]
    output.args = (tuple(nodes),)
    program.form = pytree.tree_unflatten(marks, exported.call_spec.out_spec)
    return program


def _replaces(node: fx.Node) -> bool:
    """Return whether a copy assigns an unused attribute a value of another shape."""
    target, source = node.args[:2]
    assert isinstance(target, fx.Node)
    assert isinstance(source, fx.Node)
    is_reshaped = target.meta["val"].shape != source.meta["val"].shape
    return target.op == "get_attr" and not node.users and is_reshaped


def _read_attribute(graph: fx.Graph, placeholder: fx.Node, name: str) -> None:
    """Replace a lifted placeholder by its attribute."""
    with graph.inserting_before(placeholder):
        node = graph.create_node("get_attr", name)
    node.meta = placeholder.meta
    placeholder.replace_all_uses_with(node)
    graph.erase_node(placeholder)
