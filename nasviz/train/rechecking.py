"""A sub-network that was read from disk, compared with the full network that its run has stored.

An export compares its file with the network that it was given. If that one is damaged, both agree. So the
full network is built again from the settings of the run, gets the weights of the last checkpoint, and what
was selected is set to zero in it: that is what the sub-network must compute.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import fx

from nasviz import subnet
from nasviz.errors import ExportError, NasvizError
from nasviz.runs import Run
from nasviz.runs.files import SEARCHED, is_file
from nasviz.runs.storage import as_damage
from nasviz.subnet.exports import export_arguments, largest_difference, tensors, tolerance
from nasviz.trace.parity import preserve_state
from nasviz.train.checkpoint import restore, stored_best, stored_network
from nasviz.train.session import open_session

__all__ = ["AgainstFull", "compare_with_full"]


@dataclass(frozen=True, slots=True)
class AgainstFull:
    """How a sub-network compares with the stored full network of its run."""

    difference: float | None
    """Largest difference relative to the largest value of an output; None where it was not checked."""
    reason: str = ""
    """Why it was not checked."""

    def __str__(self) -> str:
        if self.difference is None:
            return f"not checked against the full network: {self.reason}"
        return (
            f"the stored full network with these structures at zero differs by at most {self.difference:.2g}"
        )


def compare_with_full(run: Run, small: fx.GraphModule) -> AgainstFull:
    """Compare a sub-network with the run's stored full network, in evaluation mode on random inputs.

    No Python of the user is imported for it.

    Raises:
        ExportError: They compute different things: a file of the run is damaged.
    """
    settings = run.settings
    if settings.is_watched:
        return AgainstFull(
            None, "a watched loop stores the sub-network alone, which was compared when it was constructed"
        )
    if settings.is_user_code:
        return AgainstFull(None, "that would import Python code that the run names")
    result = run.end.result if run.end is not None else {}
    is_changed = "changed_at" in result
    if is_file(run.folder / SEARCHED) and not is_changed:
        return AgainstFull(
            None, f"{settings.method.title} derives a network that the checkpoint does not hold"
        )
    try:
        with as_damage(run.folder):
            is_best = result.get("result") == "best"
            state = (
                stored_best(run.folder, int(result["result_step"])) if is_best else stored_network(run.folder)
            )
            if state is None:
                return AgainstFull(None, "the run has no checkpoint")
            session = open_session(settings.changed(device="cpu", processes=1))
            if is_changed:  # constructs the sub-network once more
                restore(session, run.folder)
            session.network.load_state_dict(state)
            if not is_changed:
                erased, channels = result["selected"], result.get("channels", ())
                subnet.project_to_zero_(session.traced, session.space, erased, channels=channels)
    except (NasvizError, RuntimeError) as error:
        return AgainstFull(None, str(error).splitlines()[0][:300])
    full = session.network
    with preserve_state(full), preserve_state(small), torch.no_grad():
        full.eval()
        small.eval()
        given, _ = export_arguments(small, None)
        difference = largest_difference(tensors(full(*given)), tensors(small(*given)), "the sub-network")
    if not difference <= tolerance(given):
        raise ExportError(
            f"the sub-network of run {run.id} does not compute what its stored full network computes with the"
            f" selected structures at zero: relative difference {difference:.2e}. A file of the run is"
            " damaged; restore it from a copy, or construct the sub-network again"
        )
    return AgainstFull(difference)
