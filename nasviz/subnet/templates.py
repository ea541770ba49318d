"""Fixed parts of the Python source that `source` writes."""

__all__ = ["CHECK", "HEAD", "LOADER", "STOCHASTIC_DEPTH"]

HEAD = '''\
"""A network as Python source. It needs torch only; `load()` reads weights.safetensors beside this file."""

import json
import struct
from collections import OrderedDict, namedtuple
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

aten = torch.ops.aten


def put(root, path, value):
    """Put a module, parameter or buffer under a dotted path."""
    *scopes, name = path.split(".")
    for scope in scopes:
        if scope not in root._modules:
            root.add_module(scope, nn.Module())
        root = root._modules[scope]
    if isinstance(value, nn.Module):
        root.add_module(name, value)
    elif isinstance(value, nn.Parameter):
        root.register_parameter(name, value)
    else:
        root.register_buffer(name, value)
'''

CHECK = '''\
def check(name, value, made_for, sizes):
    """Check kind and shape of an input, since the code of this network holds sizes as numbers.


    Sizes given as text are free; equal texts mean equal sizes.
    """
    if torch.jit.is_tracing():
        return
    if isinstance(made_for, dict):
        if not hasattr(value, "keys") or set(value) != set(made_for):
            found = sorted(value) if hasattr(value, "keys") else type(value).__name__
            raise ValueError(f"{name} has {found}; this network was made for {sorted(made_for)}")
        for key, part in made_for.items():
            check(f"{name}[{key!r}]", value[key], part, sizes)
    elif isinstance(made_for, list):
        if len(value) != len(made_for):
            raise ValueError(f"{name} has {len(value)} parts; this network was made for {len(made_for)}")
        for number, part in enumerate(made_for):
            check(f"{name}[{number}]", value[number], part, sizes)
    elif made_for[0] == "object":
        for key, part in made_for[1].items():
            check(f"{name}.{key}", getattr(value, key), part, sizes)
    elif made_for[0] == "value":
        if value != made_for[1]:
            raise ValueError(f"{name} is {value!r}; this network was made for {made_for[1]!r}")
    elif made_for[0] != "anything":
        kind, shape = made_for
        if not isinstance(value, torch.Tensor):
            raise ValueError(f"{name} is a {type(value).__name__}; this network was made for a tensor")
        given = (
            "floating" if value.is_floating_point() else "complex" if value.is_complex()
            else "bool" if value.dtype == torch.bool else "integer"
        )
        fits = len(value.shape) == len(shape) and all(
            found == (sizes.setdefault(size, found) if isinstance(size, str) else size)
            for found, size in zip(value.shape, shape)
        )
        if given != kind or not fits:
            found = f"{given} {tuple(value.shape)}"
            raise ValueError(f"{name} is {found}; this network was made for {kind} {shape}")
'''

STOCHASTIC_DEPTH = '''\
class StochasticDepth(nn.Module):
    """Drop a branch at random while training, for each sample (row) or for the whole batch."""

    def __init__(self, p, mode="row", scale=True):
        super().__init__()
        self.p, self.mode, self.scale = p, mode, scale

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        shape = [x.shape[0] if self.mode == "row" else 1] + [1] * (x.dim() - 1)
        noise = torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(1 - self.p)
        return x * (noise.div_(1 - self.p) if self.scale and self.p < 1 else noise)
'''

LOADER = '''\
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_weights(path):
    """Read the tensors of a safetensors file by name."""
    content = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            dtype = DTYPES[entry["dtype"]]
            raw = data[start:end]
            flat = torch.frombuffer(raw, dtype=dtype).clone() if raw else torch.empty(0, dtype=dtype)
            tensors[name] = flat.reshape(entry["shape"])
    return tensors


def load(path=Path(__file__).parent / "weights.safetensors"):
    """Return the network with its weights."""
    network = Network()
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    for name, value in read_weights(path).items():
        tensors[name].data = value
    return network


if __name__ == "__main__":
    print(load())
'''
