"""Networks in which a branch is multiplied by something on its way to a sum or a concatenation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 8


def _mlp(width: int = WIDTH) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))


class Mixture(nn.Module):
    """Experts, weighed by a router (Mixtral, written dense)."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(WIDTH, 3)
        self.experts = nn.ModuleList(_mlp() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        shares = self.router(x).softmax(-1)
        return x + sum(shares[..., i : i + 1] * expert(x) for i, expert in enumerate(self.experts))


class Modulated(nn.Module):
    """Shift, scale and gate from a condition (DiT's adaLN-zero)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH, elementwise_affine=False)
        self.condition, self.branch = nn.Linear(WIDTH, 3 * WIDTH), _mlp()

    def forward(self, x: Tensor) -> Tensor:
        shift, scale, gate = self.condition(functional.silu(x.mean(1, keepdim=True))).chunk(3, -1)
        return x + gate * self.branch(self.norm(x) * (1 + scale) + shift)


class Highway(nn.Module):
    """A gate that shares between a branch and what goes round it."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.branch = nn.Linear(WIDTH, WIDTH), _mlp()

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gate(x).sigmoid()
        return gate * self.branch(x) + (1 - gate) * x


class RootMeanSquare(nn.Module):
    """A norm written by hand, with one added to its weight (Gemma)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + self.weight)


class Sandwich(nn.Module):
    """A gated MLP between two such norms."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = RootMeanSquare(), RootMeanSquare()
        self.gate, self.up, self.down = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        h = self.before(x)
        return x + self.after(self.down(functional.gelu(self.gate(h)) * self.up(h)))


class Mixed(nn.Module):
    """Candidates weighed by architecture parameters of its own (DARTS)."""

    def __init__(self, weigh: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.weigh = weigh
        self.alphas = nn.Parameter(torch.randn(3))
        self.candidates = nn.ModuleList([nn.Linear(WIDTH, WIDTH), nn.Identity(), nn.Linear(WIDTH, WIDTH)])

    def forward(self, x: Tensor) -> Tensor:
        weights = self.weigh(self.alphas)
        return sum(weights[i] * candidate(x) for i, candidate in enumerate(self.candidates))


class Fused(nn.Module):
    """Two branches with factors from one vector (BiFPN)."""

    def __init__(self) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.rand(2))
        self.left, self.right = _mlp(), _mlp()

    def forward(self, x: Tensor) -> Tensor:
        w = self.factors.relu()
        w = w / (w.sum() + 1e-4)
        return x + w[0] * self.left(x) + w[1] * self.right(x)


class Excited(nn.Module):
    """A branch that ends in a squeeze-and-excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
        self.squeeze = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        h = self.branch(x)
        return x + h * self.squeeze(h.mean(1, keepdim=True)).sigmoid()


class Normalised(nn.Module):
    """A branch of length one, and one that shares with a gate by division."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.gate = _mlp(), _mlp(), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        shared = self.right(x) / (1 + self.gate(x).abs())
        return x + functional.normalize(self.left(x), dim=-1) + shared


class Embedded(nn.Module):
    """A vector per image, added at every place (diffusion networks)."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.time, self.outer = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH), _mlp()

    def forward(self, x: Tensor) -> Tensor:
        h = self.inner(x) + self.time(x.mean(1, keepdim=True))
        return x + self.outer(functional.relu(h))


class Stacked(nn.Module):
    """Blocks of one kind between a stem and a head; its input is (batch, 5, 8)."""

    def __init__(self, make: Callable[[], nn.Module], count: int = 2) -> None:
        super().__init__()
        self.stem = nn.Linear(WIDTH, WIDTH)
        self.blocks = nn.Sequential(*(make() for _ in range(count)))
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(functional.relu(self.stem(x))))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "mixture": (lambda: Stacked(Mixture), 6),
    "modulated": (lambda: Stacked(Modulated), 2),
    "highway": (lambda: Stacked(Highway), 2),
    "sandwich": (lambda: Stacked(Sandwich), 2),
    "softmax": (lambda: Stacked(lambda: Mixed(lambda a: a.softmax(0))), 4),
    "raw": (lambda: Stacked(lambda: Mixed(lambda a: a)), 4),
    "fused": (lambda: Stacked(Fused), 4),
    "excited": (lambda: Stacked(Excited), 2),
    "embedded": (lambda: Stacked(Embedded), 4),
    "normalised": (lambda: Stacked(Normalised), 4),
}
"""A network of each kind, and how many of its branches can go."""


class Observed(nn.Module):
    """A branch that is multiplied by a gate and read by a softmax too."""

    def __init__(self) -> None:
        super().__init__()
        self.branch, self.gate = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        h = self.branch(x)
        return x + self.gate(x).sigmoid() * h + h.softmax(-1)


class Divided(nn.Module):
    """A branch that is divided by its own length: zero by zero is no number."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        h = self.branch(x)
        return x + h / h.pow(2).sum(-1, keepdim=True).sqrt()


class Ratio(nn.Module):
    """A branch over itself."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        h = self.branch(x)
        return x + h / h


class Unscaled(Excited):
    """A gate whose weight is not defined at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.utils.parametrizations.weight_norm(self.squeeze)


class Logarithmic(Excited):
    """A gate that is infinite at zero before its weights."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.branch(x)
        return x + h * self.squeeze(h.pow(2).mean(1, keepdim=True).log()).sigmoid()


class Attending(nn.Module):
    """Attention to keys of its own, with a mask from the input."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = nn.Parameter(torch.randn(1, 5, WIDTH))
        self.query, self.value, self.mask = (nn.Linear(WIDTH, n) for n in (WIDTH, WIDTH, 5))

    def forward(self, x: Tensor) -> Tensor:
        keys = self.keys.expand(len(x), -1, -1)
        return x + functional.scaled_dot_product_attention(self.query(x), keys, self.value(x), self.mask(x))


class Squared(nn.Module):
    """A gate whose other operand is all that the head reads."""

    def __init__(self) -> None:
        super().__init__()
        self.branch, self.gate = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x) * self.gate(x)


NOT_REMOVABLE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "observed": (lambda: Stacked(Observed), "blocks.0.branch"),
    "divided": (lambda: Stacked(Divided), "blocks.0.branch"),
    "divided by itself": (lambda: Stacked(Ratio), "blocks.0.branch"),
    "weight norm": (lambda: Stacked(Unscaled), "blocks.0.branch.2"),
    "logarithm": (lambda: Stacked(Logarithmic), "blocks.0.branch.2"),
    "mask": (lambda: Stacked(Attending), "blocks.0.mask"),
    "squared": (lambda: Stacked(Squared), "blocks.1.branch"),
    "inside a gated MLP": (lambda: Stacked(Sandwich), "blocks.0.up"),
}
"""Networks with a module that feeds a product, and must stay."""
