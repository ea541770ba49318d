"""The end of a run: construct the sub-network, save it, judge both networks, and report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from nasviz import subnet
from nasviz.errors import ExportError
from nasviz.runs import Evaluation, Writer
from nasviz.runs.files import SUBNET
from nasviz.train.evaluation import evaluate
from nasviz.train.session import Session

__all__ = ["conclude"]


def conclude(session: Session, folder: Path, writer: Writer) -> dict[str, Any]:
    """Write the sub-network into the run's folder; return the final report, plain data.

    The sub-network is made of the structures that were selected and have become zero. Its accuracy is that
    straight after construction. An ONNX export that fails is reported, and does not fail the run.
    """
    optimizer, step = session.optimizer, session.step - 1
    erased = tuple(i for i in optimizer.selected if i in optimizer.zeroed_by)
    full = _judge(session, writer, "full", session.network)
    network = session.network.to("cpu")
    sub = subnet.construct(network, session.space, erased)
    target = folder / SUBNET
    subnet.save(sub, target)
    onnx_error = None
    try:
        subnet.export_onnx(sub, target / "model.onnx")
    except (ExportError, ImportError) as error:  # a training machine may have torch alone
        onnx_error = str(error)
        writer.event(step, "warning", f"the sub-network was not exported to ONNX: {error}")
    small = _judge(session, writer, "subnet", sub.module)
    report = sub.report
    ratio = report.params_after / max(1, report.params_before)
    words = (
        f"sub-network constructed: {ratio:.1%} of the parameters, accuracy {small[1]:.1%} after {full[1]:.1%}"
    )
    writer.event(step, "constructed", words)
    # Which vertex went and which tensor was cut is in subnet/report.json; lists of runs need not read that.
    short = {name: value for name, value in report.to_json().items() if name not in ("erased", "sliced")}
    return short | {
        "target_sparsity": session.target_sparsity,
        "num_structures": len(session.space.removable),
        "zeroed_by": {str(i): how for i, how in optimizer.zeroed_by.items()},
        "loss_full": full[0],
        "accuracy_full": full[1],
        "loss_subnet": small[0],
        "accuracy_subnet": small[1],
        "best_step": session.best_step,
        "best_accuracy": session.best_accuracy,
        "onnx_error": onnx_error,
    }


def _judge(session: Session, writer: Writer, name: str, module: nn.Module) -> tuple[float, float]:
    """Loss and accuracy of one of the two networks, put on record."""
    images, step = session.split.validation, session.step - 1
    loss, accuracy = evaluate(module.to(session.device), images, device=session.device)
    epoch = step // session.schedule.steps_per_epoch
    writer.evaluation(Evaluation(step, epoch, name, loss, accuracy, len(images)))
    return loss, accuracy
