"""Parity: the full network with its redundant groups at zero against the sub-network.

Three checks compare every output relative to its largest value: evaluation mode with the given running
statistics; evaluation mode with random statistics, equal in both, because untrained statistics hide wrong
channels; training mode without dropout. The effect is the same distance between the full network and the
zeroed one: if it is tiny, agreement proves little. It is measured in the first check, and in later ones only
while it is faint. For a network of many MACs it is first measured with one structure restored, the one
nearest to the outputs, whose path is short; if that does not move them, all are restored.
"""

from __future__ import annotations

import copy
import inspect
import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import inf, isfinite, prod
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils import _pytree as pytree

from nasviz.errors import ConstructionError, InputError
from nasviz.graph import ConstructionPlan, Input, Slice, TraceGraph
from nasviz.subnet.program import CallCache, Program, run
from nasviz.subnet.surgery import cut
from nasviz.subnet.zero import named_tensors, random_weights
from nasviz.trace.leaves import BatchNormCall, OutputForm
from nasviz.trace.network import known_description, zeros_of
from nasviz.trace.parity import preserve_state

__all__ = [
    "LARGE_MACS",
    "Check",
    "Networks",
    "ParityCase",
    "RestoredPart",
    "arguments",
    "check_parity",
    "example_inputs",
    "parity_cases",
    "precision",
    "record_inputs",
    "recorded_inputs",
    "tolerance",
]

_KEY = "nasviz_inputs"


def record_inputs(net: fx.GraphModule, inputs: Sequence[Input]) -> None:
    """Attach the traced inputs to a network; copies keep them."""
    net.meta[_KEY] = tuple(inputs)


def recorded_inputs(net: nn.Module) -> tuple[Input, ...] | None:
    """Return the traced inputs of a sub-network, a loaded or a traced network, else `None`."""
    remembered = net.meta.get(_KEY) if isinstance(net, fx.GraphModule) else None
    traced = getattr(net, "trace_graph", None)
    return remembered or (traced.inputs if traced is not None else None)


def example_inputs(
    net: fx.GraphModule, inputs: Sequence[Input], *, batch: int = 2, seed: int = 0
) -> tuple[Any, ...]:
    """Return seeded random arguments of these shapes, in the dtype and on the device of the network.

    Integers stay below the size of the smallest embedding that they index, or below 2.
    """
    generator = torch.Generator().manual_seed(seed)
    like = next((p for p in net.parameters() if p.is_floating_point()), torch.empty(0))
    nodes = {node.name: node for node in net.graph.nodes}
    values: dict[str, Tensor] = {}
    for virtual in inputs:
        shape = tuple(batch if size < 0 else size for size in virtual.shape)
        dtype: torch.dtype = getattr(torch, virtual.dtype)
        if dtype.is_floating_point:
            values[virtual.id] = torch.randn(shape, generator=generator).to(like)
        else:
            high = (
                2
                if dtype == torch.bool or virtual.id not in nodes
                else _smallest_table(net, nodes[virtual.id])
            )
            values[virtual.id] = torch.randint(high, shape, generator=generator).to(like.device, dtype)
    placeholders = [node for node in net.graph.nodes if node.op == "placeholder"]
    taken = known_description(net.graph) or {}
    return tuple(
        _completed(_nested(node, values), taken.get(str(node.target)), batch, like) for node in placeholders
    )


def _completed(value: Any, description: Any, batch: int, like: Tensor) -> Any:
    """Return an argument with its unused parts filled in: traced values, and zeros for tensors."""
    if isinstance(description, list):
        parts = value if isinstance(value, list) else []
        parts = [*parts, *[None] * (len(description) - len(parts))]
        return [_completed(p, d, batch, like) for p, d in zip(parts, description, strict=True)]
    if isinstance(description, dict):
        known = value if isinstance(value, dict) else {}
        return {key: _completed(known.get(key), d, batch, like) for key, d in description.items()}
    if description is None or value is not None:
        return value
    kind, *rest = description
    if kind == "object":
        return SimpleNamespace(**{key: _completed(None, d, batch, like) for key, d in rest[0].items()})
    if kind == "value":
        return rest[0]
    return None if kind == "anything" else zeros_of(description, batch, like)


def _smallest_table(net: fx.GraphModule, node: fx.Node) -> int:
    sizes = [2]
    for reader in node.users:
        if reader.op == "call_module":
            module = net.get_submodule(str(reader.target))
            sizes += [module.num_embeddings] if isinstance(module, nn.Embedding) else []
    return min(sizes[1:], default=2)


def _nested(node: fx.Node, values: Mapping[str, Tensor]) -> Any:
    """Return the argument from which a graph reads these values by key, index and attribute."""
    if node.name in values:
        return values[node.name]
    taken = [user for user in node.users if user.target is operator.getitem]
    fields = [user for user in node.users if user.target is getattr]
    if fields:
        return SimpleNamespace(**{str(user.args[1]): _nested(user, values) for user in fields})
    items: dict[Any, Any] = {user.args[1]: _nested(user, values) for user in taken}
    if items and all(isinstance(key, int) for key in items):
        return [items.get(index) for index in range(max(items) + 1)]
    return items or None


def arguments(net: nn.Module, inputs: Any) -> tuple[Any, ...]:
    """Return positional arguments of `net` from a tensor, a tuple of them, or a dict of keyword arguments.

    Raises:
        ConstructionError: The signature of `net` does not match.
    """
    if not isinstance(inputs, Mapping):
        return tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    signature = inspect.signature(net.forward)
    try:
        bound = signature.bind(**inputs)
    except TypeError as error:
        raise ConstructionError(f"the network takes {signature}, not {sorted(inputs)}: {error}") from error
    bound.apply_defaults()
    return tuple(bound.arguments.values())


LARGE_MACS = 2 * 10**9
"""Multiply-accumulates of one example above which checks are cheaper (some 50 ms on one core)."""
_MOST_SAMPLES = 32
_CHEAP_MACS = 2 * 10**7
"""Multiply-accumulates of all samples of a check of channels, as far as one sample needs fewer."""
_FEW = 8
"""Least number of values for batch statistics, as far as the batch size can provide it."""
_LARGE_SIDE = 64
"""Least height and width of images that may be halved."""


class ParityCase(NamedTuple):
    """State and inputs of one comparison."""

    name: str
    inputs: tuple[Any, ...]
    is_training: bool = False
    statistics: Mapping[str, Tensor] = MappingProxyType({})
    full_size: tuple[Any, ...] | None = None
    """Inputs of full size, for networks that do not accept smaller ones."""


def parity_cases(
    full: fx.GraphModule,
    trace: TraceGraph,
    *,
    inputs: Any = None,
    seed: int = 0,
    thorough: bool = False,
    samples: int = 1,
) -> list[ParityCase]:
    """Return the checks with their inputs, in evaluation mode of at least so many samples.

    The first uses the traced shapes, or `inputs`. For a network of many MACs the others use images of half
    the height and width, unless `thorough`.
    """
    statistics = _random_statistics(full, seed)
    if inputs is not None:
        inputs = arguments(full, inputs)
        first, second = ParityCase("evaluation", inputs), ParityCase("", inputs)
        third = ParityCase("training", inputs, True)
    else:
        few, many = _batches(full, trace)
        few = max(few, samples)
        first = ParityCase("evaluation", example_inputs(full, trace.inputs, batch=few, seed=seed))
        third = ParityCase("training", example_inputs(full, trace.inputs, batch=many, seed=seed), True)
        second = first
        if trace.macs > LARGE_MACS and not thorough:
            second = _shrunk(first, full, trace, few, seed)
            third = _shrunk(third, full, trace, many, seed)
    second = second._replace(name="evaluation with random statistics", statistics=statistics)
    return [first, second, third] if statistics else [first, third]


def _shrunk(case: ParityCase, full: fx.GraphModule, trace: TraceGraph, batch: int, seed: int) -> ParityCase:
    """Return a case with large images at half the height and width, if there are any."""
    smaller = [_halved(item) for item in trace.inputs]
    if smaller == list(trace.inputs):
        return case
    return case._replace(inputs=example_inputs(full, smaller, batch=batch, seed=seed), full_size=case.inputs)


def _halved(item: Input) -> Input:
    """Return an image input of half the height and width if it is large, else `item`."""
    batch, *sizes = item.shape or (0,)
    if len(sizes) != 3 or batch >= 0 or min(sizes[1:]) < _LARGE_SIDE:
        return item
    return replace(item, shape=(batch, sizes[0], sizes[1] // 2, sizes[2] // 2))


def _batches(net: fx.GraphModule, trace: TraceGraph) -> tuple[int, int]:
    """Return the batch sizes for evaluation and training: one, or two where one is a special case."""
    squeezes = {vertex.id for vertex in trace.vertices if vertex.operator == "squeeze"}
    if any(_may_squeeze_batch(node, trace) for node in net.graph.nodes if node.name in squeezes):
        return 2, 2
    norms = [vertex for vertex in trace.vertices if vertex.operator == "batch_norm"]
    sizes = [prod(abs(size) for size in vertex.shape[2:]) for vertex in norms]
    return 1, 2 if min(sizes, default=_FEW) < _FEW else 1


def _may_squeeze_batch(node: fx.Node, trace: TraceGraph) -> bool:
    """Return whether the batch axis is squeezed if it is one: no axis given, or one that was kept."""
    vertex = trace[node.name]
    names_axis = len(node.args) + len(node.kwargs) > 1
    return not names_axis or len(trace.shapes[vertex.inputs[0]]) == len(vertex.shape)


def _random_statistics(net: nn.Module, seed: int) -> dict[str, Tensor]:
    """Return running statistics by name: means shifted by half a deviation, variances scaled."""
    generator = torch.Generator().manual_seed(seed)
    drawn: dict[str, Tensor] = {}
    tensors = named_tensors(net)
    for name in sorted(tensors):
        variance_name = name.removesuffix("running_mean") + "running_var"
        if not name.endswith("running_mean") or variance_name not in tensors:
            continue
        mean, variance = tensors[name], tensors[variance_name]
        moved = torch.randn(mean.shape, generator=generator).to(mean)
        drawn[name] = mean + 0.5 * variance.sqrt() * moved
        drawn[variance_name] = variance * (0.5 + torch.rand(mean.shape, generator=generator).to(mean))
    return drawn


_FAINT = 1e-3
"""Effect below which all checks measure it: an auxiliary head, for example, acts in training mode only."""


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison."""

    name: str
    relative_error: float
    """Zeroed full network against sub-network, over the largest value of the former."""
    effect: float | None
    """Full network against zeroed full network, over the largest value of the former, if measured."""
    effect_of: tuple[int, ...] = ()
    """Structures restored to measure the effect; empty: all that were removed."""


@dataclass(frozen=True)
class RestoredPart:
    """A removed part that is restored to measure its effect on the outputs."""

    structures: tuple[int, ...]
    zeros_left: Mapping[str, Tensor]
    """Tensors that stay at zero in the full network, by name; empty: everything is restored."""


@dataclass(frozen=True)
class Networks:
    """Networks to compare; they may share tensors."""

    net: fx.GraphModule
    """Full network with its redundant groups as they are."""
    zeros: Mapping[str, Tensor]
    """Tensors of the zeroed network that replace those of `net`, by name."""
    small: fx.GraphModule
    randomized: fx.GraphModule
    """Full network with nonzero redundant groups."""
    restored: tuple[RestoredPart, ...] = (RestoredPart((), {}),)
    """Restored parts to measure the effect with; the next one is used if the first moves nothing."""
    silent: tuple[str, ...] = ()
    """Names in `zeros` of entirely zero tensors."""
    drawn: Mapping[str, Tensor] = field(default_factory=dict)
    """Random tensors that replace tensors in all networks, by name."""

    def double(self) -> Networks:
        """Return copies in double precision."""
        net, small = (copy.deepcopy(net).double() for net in (self.net, self.small))
        randomized = net if self.randomized is self.net else copy.deepcopy(self.randomized).double()
        restored = tuple(RestoredPart(r.structures, _doubled(dict(r.zeros_left))) for r in self.restored)
        drawn = _doubled(dict(self.drawn))
        return Networks(net, _doubled(dict(self.zeros)), small, randomized, restored, self.silent, drawn)

    def with_weights(self, plan: ConstructionPlan, trace: TraceGraph, seed: int) -> Networks:
        """Return the networks with random weights for every zero matrix that the plan leaves unchanged."""
        touched = {piece.tensor for piece in plan.slices} | self.zeros.keys()
        touched |= {name for fold in plan.folds for name in trace[fold.vertex].parameters}
        drawn = random_weights(self.net, touched, seed)
        return replace(
            self, drawn={name: t for name, t in drawn.items() if name in named_tensors(self.small)}
        )


def precision(net: nn.Module) -> torch.dtype:
    """Return the floating-point dtype of a network's parameters."""
    return next((p.dtype for p in net.parameters() if p.is_floating_point()), torch.get_default_dtype())


def tolerance(dtype: torch.dtype) -> float:
    """Return the relative error above which two networks of this dtype count as different."""
    return {torch.float64: 1e-9, torch.float32: 1e-4}.get(dtype, 0.05)


def check_parity(
    networks: Networks,
    trace: TraceGraph,
    plan: ConstructionPlan,
    *,
    inputs: Any = None,
    seed: int = 0,
    thorough: bool = False,
) -> tuple[Check, ...]:
    """Compare three networks; weights, buffers and modes of all of them are restored.

    A network that returns only zeros, such as a fresh ViT with its zero head, would agree with anything, so
    its zero matrices are replaced by random ones. Batch statistics over few, nearly equal values amplify
    rounding: if single precision disagrees by more than its tolerance, double precision decides, and its
    numbers are returned.

    Raises:
        ConstructionError: Outputs differ in number or shape, or are not finite.
    """
    # An activation that is off for one sample hides a channel: take more where they are cheap.
    samples = min(_MOST_SAMPLES, max(1, _CHEAP_MACS // max(1, trace.macs))) if plan.channels else 1
    options: dict[str, Any] = {"seed": seed, "thorough": thorough, "samples": samples}
    cases = parity_cases(networks.net, trace, inputs=inputs, **options)
    cache = CallCache()
    small = Program(networks.small)
    if _returns_only_zeros(small, cases[0], cache):
        networks = networks.with_weights(plan, trace, seed)
        small = Program(networks.small, networks.drawn, like=small)
    checks = _checks(networks, small, cases, plan.slices, cache)
    dtype = precision(networks.net)
    if dtype != torch.float32 or max(c.relative_error for c in checks) <= tolerance(dtype):
        return checks
    wide = [
        ParityCase(f"{case.name} in double precision", *(_doubled(part) for part in case[1:]))
        for case in cases
    ]
    networks = networks.double()
    decided = _checks(networks, Program(networks.small, networks.drawn), wide, plan.slices, CallCache())
    is_rounding = max(c.relative_error for c in decided) <= tolerance(torch.float64)
    return decided if is_rounding else checks


def _doubled(value: Any) -> Any:
    return pytree.tree_map_only(Tensor, lambda t: t.double() if t.is_floating_point() else t, value)


def _returns_only_zeros(small: Program, case: ParityCase, cache: CallCache) -> bool:
    """Return whether all outputs of the sub-network are zero."""
    outputs = _outputs(small, case, cache, {}, store=True)
    return not any(bool(answer.any()) for answer in outputs if isinstance(answer, Tensor))


def _checks(
    networks: Networks,
    small: Program,
    cases: Sequence[ParityCase],
    slices: Sequence[Slice],
    cache: CallCache,
) -> tuple[Check, ...]:
    """Return the comparisons; `cache` may hold calls of the sub-network `small` in the first case."""
    zeroed = Program(networks.net, {**networks.drawn, **networks.zeros}, networks.silent)
    checks: list[Check] = []
    effect = 0.0
    for case in cases:
        if case.is_training and not _depends_on_mode(networks.net):  # equals evaluation mode
            checks.append(replace(checks[0], name=case.name))
            continue
        if checks:  # other statistics change nearly every value: cached calls are useless
            cache = CallCache()
        pieces = {
            name: cut(value, [piece for piece in slices if piece.tensor == name])
            for name, value in case.statistics.items()
        }
        try:
            got = _outputs(small, case, cache, pieces, store=True)
            wanted = _outputs(zeroed, case, cache, case.statistics)
        except (RuntimeError, InputError):
            if case.full_size is None:
                raise
            # The graph holds sizes as literals.
            case, cache = case._replace(inputs=case.full_size), CallCache()
            got = _outputs(small, case, cache, pieces, store=True)
            wanted = _outputs(zeroed, case, cache, case.statistics)
        found: float | None = None
        of: tuple[int, ...] = ()
        for part in networks.restored if effect < _FAINT else ():
            outputs = _outputs(_restore(networks, part, zeroed), case, cache, case.statistics)
            found, of = _difference(case.name, outputs, wanted), part.structures
            effect = max(effect, found)
            if effect >= _FAINT:
                break
        checks.append(Check(case.name, _difference(case.name, wanted, got), found, of))
    return tuple(checks)


def _restore(networks: Networks, part: RestoredPart, zeroed: Program) -> Program:
    """Return the full network with `part` restored."""
    silent = [name for name in networks.silent if name in part.zeros_left]
    return Program(networks.randomized, {**networks.drawn, **part.zeros_left}, silent, zeroed)


def _depends_on_mode(net: nn.Module) -> bool:
    """Return whether training and evaluation mode differ in more than random numbers."""
    return any(
        isinstance(module, _NormBase | BatchNormCall)
        or (isinstance(module, OutputForm) and module.train_form is not module.eval_form)
        for module in net.modules()
    )


@torch.no_grad()
def _outputs(
    program: Program,
    case: ParityCase,
    cache: CallCache,
    statistics: Mapping[str, Tensor],
    *,
    store: bool = False,
) -> list[Any]:
    """Return the outputs of a network in one case."""
    with preserve_state(program.net), _full_precision():
        for module in program.modules():  # dropout and similar modules stay in evaluation mode
            is_kept = isinstance(module, _NormBase | BatchNormCall | OutputForm | fx.GraphModule)
            module.training = case.is_training and is_kept
        for name, buffer in program.net.named_buffers() if statistics else ():
            if name in statistics:
                buffer.copy_(statistics[name])
        return pytree.tree_leaves(run(program, case.inputs, cache, store=store))


@contextmanager
def _full_precision() -> Iterator[None]:
    """Disable TensorFloat-32 within the context: its rounding would look like errors."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def _difference(name: str, wanted: Sequence[Any], got: Sequence[Any]) -> float:
    """Return the largest difference over all outputs, each relative to its own largest value."""
    if len(wanted) != len(got):
        raise ConstructionError(f"{name}: expected {len(wanted)} outputs, got {len(got)}")
    return max((_relative(name, w, g) for w, g in zip(wanted, got, strict=True)), default=0.0)


def _relative(name: str, wanted: Any, got: Any) -> float:
    if not isinstance(wanted, Tensor) or got is None:
        return 0.0
    if wanted.shape != got.shape:
        raise ConstructionError(
            f"{name}: expected an output of shape {tuple(wanted.shape)}, got {tuple(got.shape)}"
        )
    if not wanted.numel():
        return 0.0
    scale = float(wanted.abs().max())
    if not isfinite(scale):
        raise ConstructionError(
            f"{name}: the output of the full network is not finite for random inputs; pass `inputs=`"
        )
    wide = torch.complex128 if wanted.is_complex() else torch.float64
    difference = float((wanted.to(wide) - got.to(wide)).abs().max())
    if not isfinite(difference):
        return inf
    return difference / scale if scale else difference
