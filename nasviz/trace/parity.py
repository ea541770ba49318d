"""Agreement of a traced network with the user's: in both modes, at another batch size, in its buffers.

Both run on the same random inputs with the same seed, with random running statistics, and with constant
parameters replaced by random ones. The user's module is restored afterwards. If random numbers are drawn in
training mode, they must agree for several seeds: another seed reveals a random path that was fixed while
tracing. Outputs are compared as pytrees; objects that hold tensors, such as dataclasses and caches, are
registered as pytrees too.
"""

from __future__ import annotations

import dataclasses
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from nasviz.errors import ParityError, TraceError, require_type
from nasviz.trace.export import follows_batch
from nasviz.trace.leaves import Position

__all__ = [
    "SEEDS",
    "ModelOutputs",
    "Parity",
    "ParityInputs",
    "PathStep",
    "RandomDraws",
    "compare",
    "compute_outputs",
    "compute_training_outputs",
    "differ",
    "leaf_paths",
    "preserve_generators",
    "preserve_state",
    "randomize_state",
    "register_classes",
    "relative_error",
    "require_module",
    "tolerance_of",
]

_MARKS = (Tensor, Position, fx.Node)
"""Values that take the place of a tensor while a network is traced."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Shell:
    """Context of a flattened object; equal for objects of one class with the same parts."""

    kind: type
    names: tuple[str, ...]
    rest: dict[str, Any] = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class PathStep:
    """One step from a nested value to a part of it."""

    key: Any
    is_attribute: bool = False
    field: str = ""
    """Name of a part that is accessed by its index."""

    @property
    def name(self) -> str:
        """Return the display name of the part."""
        return self.field or str(self.key)


def register_classes(value: Any) -> None:
    """Register the class of every object within `value` that holds tensors as a pytree node.

    The registration with torch lasts for the rest of the process.

    Examples:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> output = SimpleNamespace(labels=["a"], scores=torch.ones(1))
        >>> register_classes(output)
        >>> pytree.tree_map_only(Tensor, lambda t: t + 1, output)
        namespace(labels=['a'], scores=tensor([2.]))
    """
    for leaf in pytree.tree_leaves(value):
        if not _holds_tensors(leaf, ()):
            continue
        if type(leaf) not in pytree.SUPPORTED_NODES:
            pytree.register_pytree_node(
                type(leaf), _flatten, _unflatten, flatten_with_keys_fn=_flatten_with_keys
            )
        register_classes(list(_attributes(leaf).values()))


def leaf_paths(value: Any, path: tuple[PathStep, ...] = ()) -> Iterator[tuple[tuple[PathStep, ...], Any]]:
    """Yield every leaf of a nested value with its path.

    Raises:
        TraceError: A class within is registered with torch without names for its parts.

    Examples:
        >>> [(steps[0].key, leaf) for steps, leaf in leaf_paths({"x": 1, "y": 2})]
        [('x', 1), ('y', 2)]
    """
    if pytree.tree_is_leaf(value):
        yield path, value
        return
    if isinstance(value, Mapping):
        steps = [(PathStep(key), part) for key, part in value.items()]
    elif isinstance(value, tuple | list):
        fields = getattr(value, "_fields", [""] * len(value))
        steps = [(PathStep(i, field=f), part) for i, (f, part) in enumerate(zip(fields, value, strict=True))]
    else:
        names = pytree.SUPPORTED_NODES[type(value)].flatten_with_keys_fn
        if names is None:
            raise TraceError(
                f"an argument of class {type(value).__name__} has no named parts; pass a tuple, a"
                " dict or a dataclass instead"
            )
        keyed, _ = names(value)
        steps = [(_step(key), part) for key, part in keyed]
    for step, part in steps:
        yield from leaf_paths(part, (*path, step))


def _step(key: Any) -> PathStep:
    if isinstance(key, pytree.GetAttrKey):
        return PathStep(key.name, is_attribute=True)
    return PathStep(getattr(key, "key", getattr(key, "idx", None)))


def _holds_tensors(value: Any, around: tuple[int, ...]) -> bool:
    """Return whether an object that pytrees treat as a leaf holds a tensor in its attributes."""
    if isinstance(value, (*_MARKS, nn.Module, type)) or id(value) in around:
        return False
    leaves = pytree.tree_leaves(list(_attributes(value).values()))
    return any(isinstance(leaf, Tensor) or _holds_tensors(leaf, (*around, id(value))) for leaf in leaves)


def _attributes(value: Any) -> dict[str, Any]:
    """Return the attributes of an object, including slots of a dataclass."""
    found = {f.name: getattr(value, f.name) for f in _fields(value) if hasattr(value, f.name)}
    return found | getattr(value, "__dict__", {})


def _fields(value: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()


def _parts(value: Any) -> dict[str, Any]:
    """Return the attributes that are, or may become, tensors or nested tensors."""
    return {
        name: part
        for name, part in _attributes(value).items()
        if part is None or isinstance(part, _MARKS) or not pytree.tree_is_leaf(part)
    }


def _flatten(value: Any) -> tuple[list[Any], _Shell]:
    parts = _parts(value)
    rest = {name: None if name in parts else other for name, other in _attributes(value).items()}
    return list(parts.values()), _Shell(type(value), tuple(parts), rest)


def _flatten_with_keys(value: Any) -> tuple[list[tuple[Any, Any]], _Shell]:
    parts, shell = _flatten(value)
    return [(pytree.GetAttrKey(name), part) for name, part in zip(shell.names, parts, strict=True)], shell


def _unflatten(parts: Any, shell: _Shell) -> Any:
    made: Any = shell.kind.__new__(shell.kind)  # type: ignore[call-overload]
    for name, value in (shell.rest | dict(zip(shell.names, parts, strict=True))).items():
        object.__setattr__(made, name, value)  # works for frozen dataclasses too
    return made


def require_module(argument: str, value: Any) -> None:
    """Reject anything but a module.

    Raises:
        ArgumentError: `value` is a class, a function or anything else.
    """
    remedy = "pass an instance of a torch.nn.Module class"
    if isinstance(value, type):
        remedy = f"create an instance: {value.__name__}(...)"
    elif type(value).__name__ == "ExportedProgram":
        remedy = "pass a network: nasviz.trace takes a program of torch.export"
    require_type(argument, value, nn.Module, "a torch.nn.Module", remedy)


@contextmanager
def preserve_state(model: nn.Module) -> Iterator[None]:
    """Restore the attributes of every module, the values of all buffers and torch's random state on exit.

    Buffers are swapped for copies, so that their memory is never written to.
    """
    # A TorchScript module keeps its attributes in C++, and nothing here writes to them.
    modules = [module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]
    attributes = [(module, dict(vars(module))) for module in modules]
    registered = [(module._buffers, dict(module._buffers)) for module in modules]
    buffers = [(buffer, buffer.data) for buffer in model.buffers()]
    devices = {t.device for t in (*model.parameters(), *model.buffers()) if t.device.type == "cuda"}
    with torch.random.fork_rng(devices=[device.index for device in devices]):
        try:
            for buffer, data in buffers:
                buffer.data = data.clone()
            yield
        finally:
            for buffer, data in buffers:
                buffer.data = data
            for module, before in attributes:
                vars(module).clear()
                vars(module).update(before)
            for names, tensors in registered:
                names.clear()
                names.update(tensors)


@contextmanager
def randomize_state(model: nn.Module, generator: torch.Generator) -> Iterator[None]:
    """Randomize constant parameters and running statistics within the context.

    In a fresh network, gains of one, shifts of zero and means of zero hide whether they are read.
    """
    swapped: list[tuple[Tensor, Tensor]] = []
    try:
        for parameter in model.parameters():
            data = parameter.data
            if data.is_floating_point() and data.numel() and bool((data == data.flatten()[0]).all()):
                swapped.append((parameter, data))
                is_zero = bool(data.flatten()[0] == 0)
                parameter.data = (
                    _random(data, -0.2, 0.2, generator) if is_zero else _random(data, 0.5, 1.5, generator)
                )
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                swapped.append((buffer, buffer.data))
                low, high = (-0.2, 0.2) if name.endswith("mean") else (0.5, 1.5)
                buffer.data = _random(buffer.data, low, high, generator)
        yield
    finally:
        for tensor, data in swapped:
            tensor.data = data


def _random(like: Tensor, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Return uniform numbers, drawn on the device of `generator` and moved to that of `like`."""
    drawn = torch.rand(like.shape, generator=generator) * (high - low) + low
    return drawn.to(like)


_SEED = 20240607
SEEDS = tuple(range(_SEED, _SEED + 6))
"""Seeds of the comparisons in training mode; only the first if no random numbers are drawn."""


@dataclass(frozen=True)
class Parity:
    """Agreement of a traced network with the network it was traced from."""

    max_relative_error: Mapping[str, float] = field(default_factory=dict)
    """Largest difference over the largest value of an output: "eval", "batch", "train" and "buffers"."""
    strategy: str = ""
    """Name of the tracing strategy."""
    warnings: tuple[str, ...] = ()
    """Limitations of the traced network."""
    changed_training: tuple[str, ...] = ()
    """Differences from the model in training mode; empty if none were found."""
    free_axes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Axes of each input that may have other sizes; all others keep their traced size."""
    fixed_axes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Why each of the others is fixed: the line of the user's code or the operator that needs its size."""

    @property
    def worst(self) -> float:
        """Return the largest of all errors."""
        return max(self.max_relative_error.values(), default=0.0)


@dataclass(frozen=True)
class ParityInputs:
    """Arguments that both networks are compared on."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    larger_args: tuple[Any, ...]
    larger_kwargs: Mapping[str, Any]

    @classmethod
    def like(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any], batch_axis: int = 0) -> ParityInputs:
        """Return random arguments of the same shapes, and others with one more example."""
        generator = torch.Generator().manual_seed(_SEED)
        leaves = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]

        def noise(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor) or not leaf.is_floating_point():
                return leaf
            std = float(leaf.std()) if leaf.numel() > 1 else 0.0
            drawn = torch.randn(leaf.shape, generator=generator, dtype=torch.float32).to(leaf)
            return drawn * (std or 1.0) + (leaf.mean() if leaf.numel() else 0.0)

        def larger(leaf: Any) -> Any:
            if not follows_batch(leaf, leaves, batch_axis):
                return leaf
            more = leaf.narrow(batch_axis, 0, 1)
            return torch.cat([leaf, more.flip(-1) if leaf.dim() > 1 else more], batch_axis)

        args, kwargs = pytree.tree_map(noise, (args, dict(kwargs)))
        return cls(args, kwargs, *pytree.tree_map(larger, (args, kwargs)))


@dataclass(frozen=True)
class RandomDraws:
    """Random numbers that a network has drawn."""

    torch: Tensor
    """State of torch's generator afterwards."""
    has_others: bool
    """Whether Python's or NumPy's generator was used."""


@dataclass
class ModelOutputs:
    """Outputs of a network for a probe."""

    eval: Any
    batch: Any = None
    train: Any = None
    draws: RandomDraws | None = None
    """Random numbers drawn in training mode."""
    buffers: dict[str, Tensor] = field(default_factory=dict)
    """Buffers of the user's network after one batch in training mode."""
    written: frozenset[str] = frozenset()
    """Buffers that one batch in evaluation mode changed."""
    caches: frozenset[str] = frozenset()
    """Those of `written` that the next batch did not change: lazily filled tables."""


def compute_outputs(
    network: nn.Module,
    model: nn.Module,
    probe: ParityInputs,
    *,
    batch: bool = True,
    train: bool = True,
    watch: AbstractContextManager[Any] | None = None,
) -> ModelOutputs:
    """Return the outputs of `network`, which is `model` or shares its tensors; both are restored.

    `watch` is entered around the run in evaluation mode.
    """
    with _test_state(model, network):
        network.eval()
        with _seeded(_SEED):
            before = _buffers(model)
            with watch or nullcontext():
                output = network(*probe.args, **probe.kwargs)
            outputs = ModelOutputs(_detached(output))
            after = _buffers(model)
            outputs.written = _changed(before, after)
            if outputs.written:
                network(*probe.args, **probe.kwargs)
                outputs.caches = outputs.written - _changed(after, _buffers(model))
        if batch:
            outputs.batch = _detached(network(*probe.larger_args, **probe.larger_kwargs))
    if train:
        trained = compute_training_outputs(network, model, probe)
        outputs.train, outputs.buffers, outputs.draws = trained.train, trained.buffers, trained.draws
    return outputs


def compute_training_outputs(
    network: nn.Module,
    model: nn.Module,
    probe: ParityInputs,
    *,
    seed: int = _SEED,
    watch: AbstractContextManager[Any] | None = None,
) -> ModelOutputs:
    """Return the outputs in training mode, with the generators of torch, Python and NumPy at `seed`."""
    with _test_state(model, network):
        network.train()
        with _seeded(seed):
            before = _other_generators()
            with watch or nullcontext():
                output = network(*probe.args, **probe.kwargs)
            draws = RandomDraws(torch.get_rng_state(), has_others=_other_generators() != before)
            return ModelOutputs(None, train=_detached(output), buffers=_buffers(model), draws=draws)


@contextmanager
def preserve_generators() -> Iterator[None]:
    """Restore the generators of Python and NumPy on exit."""
    numpy = sys.modules.get("numpy")
    python, others = random.getstate(), numpy.random.get_state() if numpy else None
    try:
        yield
    finally:
        random.setstate(python)
        if numpy:
            numpy.random.set_state(others)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed all generators within the context, and restore them on exit."""
    numpy = sys.modules.get("numpy")
    with preserve_generators(), torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        random.seed(seed)
        if numpy:
            numpy.random.seed(seed % 2**32)
        yield


def _other_generators() -> tuple[Any, ...]:
    """Return the states of the generators of Python and NumPy."""
    numpy = sys.modules.get("numpy")
    drawn = numpy.random.get_state() if numpy else ()
    return random.getstate(), *(part.tobytes() if hasattr(part, "tobytes") else part for part in drawn)


@contextmanager
def _test_state(model: nn.Module, network: nn.Module) -> Iterator[None]:
    generator = torch.Generator().manual_seed(_SEED)
    with torch.no_grad(), preserve_state(network), preserve_state(model), randomize_state(model, generator):
        yield


def _buffers(model: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.detach().clone() for name, buffer in model.named_buffers()}


def _changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> frozenset[str]:
    return frozenset(name for name in before if not torch.equal(before[name], after[name]))


def _detached(output: Any) -> Any:
    register_classes(output)
    return pytree.tree_map(lambda leaf: leaf.detach().clone() if isinstance(leaf, Tensor) else leaf, output)


def compare(expected: ModelOutputs, found: ModelOutputs, tolerance: float) -> dict[str, float]:
    """Return the relative error of every kind of output that both have.

    Raises:
        ParityError: An error exceeds `tolerance`, or an output has another structure.
    """
    errors: dict[str, float] = {}
    odd = (expected.written ^ found.written) - expected.caches
    if expected.eval is not None and odd:
        names = ", ".join(sorted(odd))
        raise ParityError(f"in evaluation mode, only one of model and traced network writes to {names}")
    for kind in ("eval", "batch", "train", "buffers"):
        mine, its = getattr(expected, kind), getattr(found, kind)
        if mine is None or its is None or its == {}:
            continue
        if kind == "buffers" and expected.caches:
            mine, its = ({k: b for k, b in x.items() if k not in expected.caches} for x in (mine, its))
        errors[kind] = _error_of_outputs(kind, mine, its)
        if not errors[kind] <= tolerance:
            raise ParityError(
                f"the traced network differs from the model ({kind}): relative error {errors[kind]:.3g},"
                f" allowed {tolerance:.1g}"
            )
    return errors


def differ(one: Any, other: Any, tolerance: float) -> bool:
    """Return whether two outputs differ by more than `tolerance`, or in structure.

    Examples:
        >>> differ((torch.ones(2), None), (torch.ones(2) + 1e-9, None), tolerance=1e-6)
        False
    """
    try:
        return not _error_of_outputs("train", one, other) <= tolerance
    except ParityError:
        return True


def _error_of_outputs(kind: str, expected: Any, found: Any) -> float:
    mine, my_form = pytree.tree_flatten(expected)
    its, its_form = pytree.tree_flatten(found)
    if my_form != its_form:
        raise ParityError(
            f"the traced network returns another structure ({kind}): {its_form} instead of {my_form}"
        )
    pairs = [(a, b) for a, b in zip(mine, its, strict=True) if isinstance(a, Tensor) or isinstance(b, Tensor)]
    return max((relative_error(a, b) for a, b in pairs), default=0.0)


def relative_error(expected: Tensor, found: Tensor) -> float:
    """Return the largest difference over the largest expected value.

    Infinite if shapes, dtypes or non-finite values differ.

    Examples:
        >>> relative_error(torch.tensor([1.0, -4.0]), torch.tensor([1.0, -3.0]))
        0.25
    """
    if not isinstance(found, Tensor) or expected.shape != found.shape or expected.dtype != found.dtype:
        return float("inf")
    a, b = (
        value.to(torch.complex128 if value.is_complex() else torch.float64) for value in (expected, found)
    )
    finite = a.isfinite()
    if not torch.equal(finite, b.isfinite()):
        return float("inf")
    a, b = a[finite], b[finite]
    if not a.numel():
        return 0.0
    scale = float(a.abs().max())
    return float((a - b).abs().max()) / (scale or 1.0)


def tolerance_of(model: nn.Module) -> float:
    """Return the relative error that rounding may cause, by dtype and device."""
    tensors = [t for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()]
    if any(t.dtype in (torch.float16, torch.bfloat16) for t in tensors):
        return 3e-2
    return 1e-3 if any(t.device.type == "cuda" for t in tensors) else 1e-4
