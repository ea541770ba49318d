"""A search method in one file: gradual magnitude pruning (Zhu and Gupta, To prune, or not to prune, 2017).

Structures go one after the other, those of least average magnitude first, on a cubic schedule: many early,
few late. Try it on the command line or in the app:

    nasviz train --extension examples/extending/magnitude_pruning.py \
        --model demonet --method magnitude_pruning --target-sparsity 2 --ramp 3
    streamlit run app.py -- --extension examples/extending/magnitude_pruning.py

References:
    https://arxiv.org/abs/1710.01878, equation (1)
"""

from __future__ import annotations

from typing import Any, Literal

import nasviz
from nasviz.settings import NORMS, SALIENCY, MethodSettings, Share, Steps, Vector, number, setting


@nasviz.register_method
class MagnitudePruningSettings(MethodSettings):
    """Gradual magnitude pruning. Importable without torch: the server reads this class."""

    title = "Magnitude pruning"
    summary = "Removes the structures of least average magnitude, one after the other on a cubic schedule."
    citation = "Zhu and Gupta, To prune, or not to prune, 2017, arXiv:1710.01878"
    caution = "Knows nothing of the data, and prefers to remove large structures."
    stages = (("projection", "of pruning"), ("training", "of training what is left"))

    name: Literal["magnitude_pruning"] = "magnitude_pruning"
    target_sparsity: Share = setting(0, "Target sparsity K", "Structures to remove: a count, or a share.")
    projection_steps: Steps = setting(0.5, "Pruning steps", "Steps in which structures go.", unit="steps")
    ramp: float = number(3.0, 1, 10, "Ramp", "Exponent of the schedule: 1 is even, 3 removes most early.")

    def in_short(self) -> list[str]:
        """Return what tells two runs apart in a title."""
        return [f"K = {self.target_sparsity}", f"ramp {self.ramp:g}"]

    def vectors(self, kept_edges: int = 0) -> tuple[Vector, ...]:
        """Return what is recorded: the magnitudes by which structures are ranked, and their lengths."""
        return (SALIENCY, NORMS)

    def build(self, net: Any, space: Any, training: Any) -> Any:
        """Return the optimizer; torch is imported here, in the worker."""
        import torch

        from nasviz.optim import GroupOptimizer, SpaceBinding, count_of
        from nasviz.saliency import StructureIndex

        settings, binding = self, SpaceBinding(net, space)
        order_of = space.select
        k = count_of(self.target_sparsity, len(space.removable))
        space.check_sparsity(k)

        class MagnitudePruning(GroupOptimizer):
            """SGD that holds ever more structures at zero."""

            def __init__(self) -> None:
                self._at: dict[int, int] = {}
                self._index = StructureIndex({i: group.tensors for i, group in binding.groups.items()})
                super().__init__(torch.optim.SGD(net.parameters(), lr=settings.lr, momentum=0.9))

            @property
            def phase(self) -> str:
                return "projection" if self.num_steps < settings.projection_steps else "training"

            @property
            def structure_ids(self) -> tuple[int, ...]:
                return self._index.ids

            @property
            def selected(self) -> tuple[int, ...]:
                return tuple(self._at)

            @property
            def zeroed_by(self) -> dict[int, str]:
                return dict.fromkeys(self._at, "magnitude")

            @property
            def zeroed_at(self) -> dict[int, int]:
                return dict(self._at)

            @property
            def num_zero(self) -> int:
                return len(self._at)

            @property
            @torch.no_grad()
            def score_vector(self) -> torch.Tensor:
                return self._index.norm(self._index.tensors) / self._index.num_parameters

            @torch.no_grad()
            def vectors(self, phase: str) -> dict[str, torch.Tensor]:
                return {"scores": self.score_vector, "norms": self._index.norm(self._index.tensors)}

            def _update(self) -> None:
                self._inner_step()
                if self.phase != "projection":
                    return
                # s_t = K (1 - (1 - t / n)^ramp): most structures go early, when the network can still adapt.
                left = 1 - (self.num_steps + 1) / int(settings.projection_steps)
                count = round(k * (1 - left**settings.ramp))
                if count > len(self._at):
                    # What has gone is shortest: its magnitude is 0, so it stays first in the order.
                    chosen = order_of(self.scores, k)[:count]
                    new = [i for i in chosen if i not in self._at]
                    self._at |= dict.fromkeys(new, self.num_steps)
                    self._hold_at_zero(binding.whole_group(tuple(self._at)))

            def _own_state(self) -> dict[str, Any]:
                return {"at": dict(self._at)}

            def _check_own_state(self, own: dict[str, Any]) -> None:
                pass

            def _load_own_state(self, own: dict[str, Any]) -> None:
                self._at = dict(own["at"])

        optimizer = MagnitudePruning()
        optimizer.serve(space, target_sparsity=k)
        return optimizer
