"""The end of a run: construct the sub-network, save it, judge both networks, and report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from nasviz import subnet
from nasviz.guarded_files import PRIVATE_FILE
from nasviz.optim import SearchOptimizer
from nasviz.runs import Evaluation, Run, Writer
from nasviz.runs.files import SEARCHED, SPACE, SUBNET, make_folder, require_folder, write_json
from nasviz.subnet import Subnetwork
from nasviz.subnet.modules import imports_of
from nasviz.subnet.zero import zero_channels
from nasviz.train.evaluation import evaluate
from nasviz.train.session import Session
from nasviz.train.windows import perplexity

__all__ = ["NO_PATH_LEFT", "VALID", "Judgement", "conclude"]

VALID = "valid"
NO_PATH_LEFT = "invalid: no path left"
"""What the report says of a run whose selection cuts the outputs off: a result, and no failure."""


@dataclass(frozen=True)
class Judgement:
    """The network of a session in validation, and the record of its run: a `nasviz.optim` `Trial`."""

    session: Session
    writer: Writer | None
    """None on all processes but the first."""

    def accuracy(self) -> float:
        """Return the validation accuracy of the network as it is now."""
        session = self.session
        return evaluate(
            session.network,
            session.split.validation,
            device=session.device,
            num_workers=session.settings.num_workers,
            loss=session.loss,
        )[1]

    def tell(self, kind: str, text: str, structure: int | None = None) -> None:
        """Record an event at the last step."""
        if self.writer is not None:
            self.writer.event(self.session.step - 1, kind, text, structure)


def conclude(session: Session, folder: Path, writer: Writer) -> dict[str, Any]:
    """Write the sub-network into the run's folder; return the final report, plain data.

    The sub-network is what the method concludes: the structures that were selected and have become zero, or
    a network derived from architecture parameters. Where what goes cuts the network apart, there is none. Its
    accuracy is that straight after construction. Other formats are written on demand: an ONNX export takes
    longer than a construction.
    """
    optimizer, step = session.optimizer, session.step - 1
    trial = Judgement(session, writer)
    optimizer.end_search(trial)
    loss, accuracy = _judge(session, writer, "full", session.network)
    found = optimizer.conclude(session.network.to("cpu"), session.space)
    is_derived = found.space is not session.space
    if is_derived:
        write_json(folder / SEARCHED, session.space.to_json())
        write_json(folder / SPACE, found.space.to_json())
    for event in found.events:
        trial.tell(*event)
    result: dict[str, Any] = {
        "target_sparsity": session.target_sparsity,
        "num_structures": len(session.space.removable),
        "selected": list(found.erased),
        "zeroed_by": {str(i): how for i, how in optimizer.zeroed_by.items()},
        "zeroed_at": {str(i): when for i, when in optimizer.zeroed_at.items()},
        "search_seconds": _search_seconds(folder),
        "loss_full": loss,
        "accuracy_full": accuracy,
        "best_step": session.best_step,
        "best_accuracy": session.best_accuracy,
        "is_valid": found.space.is_valid(found.erased),
    }
    if optimizer.cuts_channels:
        result |= _zeroed_channels(optimizer)
    result |= found.report
    result["outcome"] = VALID if result["is_valid"] else NO_PATH_LEFT
    if not result["is_valid"]:
        words = f"{NO_PATH_LEFT}: the {len(found.erased)} structures that became zero cut the network apart"
        writer.event(step, "warning", words)
        return result
    if found.construct is not None:
        sub = found.construct()
    else:
        is_cut = optimizer.cuts_channels
        channels = zero_channels(found.network, found.space, found.erased) if is_cut else ()
        sub = subnet.construct(found.network, found.space, found.erased, channels=channels, thorough=True)
    if is_derived:
        writer.event(step, "phase", "the search ended; train what was derived from it before you judge it")
    return _reported(result | _save(session, sub, folder / SUBNET, writer), accuracy, session, writer)


def _zeroed_channels(optimizer: SearchOptimizer) -> dict[str, Any]:
    """Return what made channel groups zero, and when; there may be thousands, so by reason and by step."""
    reasons: dict[str, list[int]] = {}
    steps: dict[str, list[int]] = {}
    for group, reason in optimizer.channels_zeroed_by.items():
        reasons.setdefault(reason, []).append(group)
    for group, step in optimizer.channels_zeroed_at.items():
        steps.setdefault(str(step), []).append(group)
    return {"channels_zeroed_by": reasons, "channels_zeroed_at": steps}


def _reported(result: dict[str, Any], accuracy: float, session: Session, writer: Writer) -> dict[str, Any]:
    """Return the report, with perplexities where a text was learned, and record its last event."""
    if session.split.facts.kind == "text":
        for name in ("full", "subnet"):
            result[f"perplexity_{name}"] = perplexity(result[f"loss_{name}"])
    ratio = result["params_after"] / max(1, result["params_before"])
    words = (
        f"sub-network constructed: {ratio:.1%} of the parameters, accuracy {result['accuracy_subnet']:.1%}"
    )
    writer.event(session.step - 1, "constructed", f"{words} (full network {accuracy:.1%})")
    return result


def _search_seconds(folder: Path) -> float:
    """Return how long warm-up and projection took, from the record, over all workers of the run."""
    steps = Run(folder).tail().steps
    return float(np.nansum(steps.seconds[steps.phase != "training"]))


def _save(session: Session, sub: Subnetwork, target: Path, writer: Writer) -> dict[str, Any]:
    """Save and judge the sub-network; return its part of the report."""
    require_folder(target.parent)  # not made again where it was deleted meanwhile
    make_folder(target)
    subnet.save(sub, target, mode=PRIVATE_FILE)
    loss, accuracy = _judge(session, writer, "subnet", sub.module)
    # Which vertex went and which tensor was cut is in report.json; lists of runs need not read that.
    left_out = ("erased", "sliced", "widths")
    report = {name: value for name, value in sub.report.to_json().items() if name not in left_out}
    report |= {"imports": list(imports_of(sub.module))}
    return report | {"loss_subnet": loss, "accuracy_subnet": accuracy}


def _judge(session: Session, writer: Writer, name: str, module: nn.Module) -> tuple[float, float]:
    """Record and return loss and accuracy of one of the two networks."""
    images, step = session.split.validation, session.step - 1
    loss, accuracy = evaluate(
        module.to(session.device),
        images,
        device=session.device,
        num_workers=session.settings.num_workers,
        loss=session.loss,
    )
    epoch = step // session.schedule.steps_per_epoch
    writer.evaluation(Evaluation(step, epoch, name, loss, accuracy, len(images)))
    if session.split.facts.kind == "text":
        writer.event(step, "phase", f"perplexity of the {name} network: {perplexity(loss):.2f}")
    return loss, accuracy
