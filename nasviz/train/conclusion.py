"""The end of a run: construct the sub-network, save it, judge both networks, and report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from nasviz import subnet
from nasviz.errors import ExportError
from nasviz.runs import Evaluation, Run, Writer
from nasviz.runs.files import SUBNET
from nasviz.train.evaluation import evaluate
from nasviz.train.session import Session

__all__ = ["NO_PATH_LEFT", "VALID", "conclude"]

VALID = "valid"
NO_PATH_LEFT = "invalid: no path left"
"""What the report says of a run whose selection cuts the outputs off: a result, and no failure."""


def conclude(session: Session, folder: Path, writer: Writer) -> dict[str, Any]:
    """Write the sub-network into the run's folder; return the final report, plain data.

    The sub-network is made of the structures that were selected and have become zero; where these cut the
    network apart, there is none. Its accuracy is that straight after construction. An ONNX export that fails
    is reported, and does not fail the run.
    """
    optimizer, step = session.optimizer, session.step - 1
    erased = tuple(i for i in optimizer.selected if i in optimizer.zeroed_by)
    loss, accuracy = _judge(session, writer, "full", session.network)
    result: dict[str, Any] = {
        "target_sparsity": session.target_sparsity,
        "num_structures": len(session.space.removable),
        "selected": list(erased),
        "zeroed_by": {str(i): how for i, how in optimizer.zeroed_by.items()},
        "zeroed_at": {str(i): when for i, when in optimizer.zeroed_at.items()},
        "search_seconds": _search_seconds(folder),
        "loss_full": loss,
        "accuracy_full": accuracy,
        "best_step": session.best_step,
        "best_accuracy": session.best_accuracy,
        "is_valid": session.space.is_valid(erased),
    }
    result["outcome"] = VALID if result["is_valid"] else NO_PATH_LEFT
    if not result["is_valid"]:
        words = f"{NO_PATH_LEFT}: the {len(erased)} structures that became zero cut the network apart"
        writer.event(step, "warning", words)
        return result
    result |= _construct(session, erased, folder / SUBNET, writer)
    ratio = result["params_after"] / max(1, result["params_before"])
    words = (
        f"sub-network constructed: {ratio:.1%} of the parameters, accuracy {result['accuracy_subnet']:.1%}"
    )
    writer.event(step, "constructed", f"{words} (full network {accuracy:.1%})")
    return result


def _search_seconds(folder: Path) -> float:
    """The search cost: how long warm-up and projection took, from the record, over all workers of the run."""
    steps = Run(folder).tail().steps
    return float(np.nansum(steps.seconds[steps.phase != "training"]))


def _construct(session: Session, erased: tuple[int, ...], target: Path, writer: Writer) -> dict[str, Any]:
    """Construct, save, export and judge the sub-network; its part of the report."""
    sub = subnet.construct(session.network.to("cpu"), session.space, erased)
    subnet.save(sub, target)
    onnx_error = None
    try:
        subnet.export_onnx(sub, target / "model.onnx")
    except (ExportError, ImportError) as error:  # a training machine may have torch alone
        onnx_error = str(error)
        writer.event(session.step - 1, "warning", f"the sub-network was not exported to ONNX: {error}")
    loss, accuracy = _judge(session, writer, "subnet", sub.module)
    # Which vertex went and which tensor was cut is in report.json; lists of runs need not read that.
    report = {name: value for name, value in sub.report.to_json().items() if name not in ("erased", "sliced")}
    return report | {"loss_subnet": loss, "accuracy_subnet": accuracy, "onnx_error": onnx_error}


def _judge(session: Session, writer: Writer, name: str, module: nn.Module) -> tuple[float, float]:
    """Loss and accuracy of one of the two networks, put on record."""
    images, step = session.split.validation, session.step - 1
    loss, accuracy = evaluate(module.to(session.device), images, device=session.device)
    epoch = step // session.schedule.steps_per_epoch
    writer.evaluation(Evaluation(step, epoch, name, loss, accuracy, len(images)))
    return loss, accuracy
