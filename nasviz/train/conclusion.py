"""The end of a run: construct the sub-network, save it, judge both networks, and report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from nasviz import subnet
from nasviz.catalog import ACCURACY
from nasviz.guarded_files import PRIVATE_FILE
from nasviz.runs import Evaluation, Run, Writer
from nasviz.runs.files import SEARCHED, SPACE, SUBNET, make_folder, require_folder, write_json
from nasviz.subnet import Subnetwork
from nasviz.subnet.modules import imports_of
from nasviz.train.change_over import construct_found, report_of_search
from nasviz.train.checkpoint import stored_best
from nasviz.train.evaluation import Measured, evaluate
from nasviz.train.session import Session
from nasviz.train.windows import perplexity

if TYPE_CHECKING:
    from nasviz.graph import SearchSpace

__all__ = ["NO_PATH_LEFT", "VALID", "Judgement", "conclude", "numbers", "save_subnet", "write_spaces"]

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
        """Return the validation accuracy of the network as it is now, or another metric; larger is better."""
        return self.session.metric.sign * _judge(self.session, self.session.network).accuracy

    def words(self, accuracy: float) -> str:
        """Return an accuracy in words."""
        metric = self.session.metric
        return metric.words(metric.sign * accuracy)

    def tell(self, kind: str, text: str, structure: int | None = None) -> None:
        """Record an event at the last step."""
        if self.writer is not None:
            self.writer.event(self.session.step - 1, kind, text, structure)


def conclude(session: Session, folder: Path, writer: Writer) -> dict[str, Any]:
    """Write the sub-network into the run's folder; return the final report, plain data.

    The sub-network is what the method concludes: the structures that were selected and have become zero, or
    a network derived from architecture parameters; or, since a change-over, the network in training. Its
    weights are the final ones, or those of the best iterate where the settings ask for that. Where what goes
    cuts the network apart, there is none. Other formats are written on demand: an ONNX export takes longer
    than a construction.
    """
    trial, change = Judgement(session, writer), session.change
    if change is None:
        session.optimizer.end_search(trial)
    measured, chosen = _choose_result(session, folder, trial)
    name = "full" if change is None else "subnet"
    if measured is None and session.measured is not None and session.measured[0] == session.writes:
        measured = session.measured[1]
    if measured is None:
        measured = _judge(session, session.network)
    _record(session, writer, name, measured)
    result = chosen | {
        "search_seconds": _search_seconds(folder),
        "metrics": [meter.metric.label for meter in session.meters],
        "best_step": session.best_step,
        "best_accuracy": None if session.best is None else session.best.accuracy,
    }
    if change is not None:
        write_spaces(session.space, folder, change.space)
        full = Measured(change.loss, change.accuracy, metrics=change.metrics)
        sub = replace(change.sub, module=session.network.to("cpu"))
        result |= dict(change.report) | {"outcome": VALID, "changed_at": change.step} | numbers("full", full)
        return _reported(
            result | save_subnet(sub, folder / SUBNET) | numbers("subnet", measured), session, writer
        )
    found = session.optimizer.conclude(session.network.to("cpu"), session.space)
    write_spaces(session.space, folder, found.space)
    for event in found.events:
        trial.tell(*event)
    result |= report_of_search(session.optimizer, session.space, session.target_sparsity, found)
    result |= numbers("full", measured)
    result["outcome"] = VALID if result["is_valid"] else NO_PATH_LEFT
    if not result["is_valid"]:
        words = f"{NO_PATH_LEFT}: the {len(found.erased)} structures that became zero cut the network apart"
        trial.tell("warning", words)
        return result
    sub = construct_found(session.optimizer, found)
    if found.space is not session.space:
        trial.tell("phase", "the search ended; train what was derived from it before you judge it")
    small = _judge(session, sub.module)
    _record(session, writer, "subnet", small)
    return _reported(result | save_subnet(sub, folder / SUBNET) | numbers("subnet", small), session, writer)


def _choose_result(
    session: Session, folder: Path, trial: Judgement
) -> tuple[Measured | None, dict[str, Any]]:
    """Load the weights of the best iterate where they are asked for; return how it does, and a report."""
    final = {"result": "final", "result_step": session.step - 1}
    if session.settings.result == "final":
        return None, final
    if session.best_step is None or session.best is None:
        words = "no iterate before the last was a sub-network, so the result is the last one"
        trial.tell("result", words)
        return None, final
    if session.best_step < session.step - 1:
        session.network.load_state_dict(stored_best(folder, session.best_step))
    words = f"the result is the best iterate, that of step {session.best_step}"
    trial.tell("result", f"{words}, with {session.metric.words(session.best.accuracy)}")
    return session.best, {"result": "best", "result_step": session.best_step}


def write_spaces(searched: SearchSpace, folder: Path, space: SearchSpace) -> None:
    """Write the search space that the result refers to, and the searched one where that is another."""
    if space is not searched:
        write_json(folder / SEARCHED, searched.to_json())
        write_json(folder / SPACE, space.to_json())


def numbers(name: str, measured: Measured) -> dict[str, Any]:
    """Return an evaluation of the network `name` as entries of the report."""
    found = {f"loss_{name}": measured.loss, f"accuracy_{name}": measured.accuracy}
    found |= {} if measured.top5 is None else {f"top5_{name}": measured.top5}
    more = measured.metrics is not None and measured.metrics.keys() != {ACCURACY.name}
    return found | ({f"metrics_{name}": dict(measured.metrics or {})} if more else {})


def _reported(result: dict[str, Any], session: Session, writer: Writer) -> dict[str, Any]:
    """Return the report, with perplexities where a text was learned, and record its last event."""
    if session.split.facts.kind == "text":
        for name in ("full", "subnet"):
            result[f"perplexity_{name}"] = perplexity(result[f"loss_{name}"])
    ratio = result["params_after"] / max(1, result["params_before"])
    done, after = "constructed", ""
    if session.change is not None:
        done, after = "trained", f" after {session.change.step} steps"
    metric = session.metric
    words = f"sub-network {done}: {ratio:.1%} of the parameters, {metric.words(result['accuracy_subnet'])}"
    words += f" (full network {metric.text(result['accuracy_full'])}{after})"
    writer.event(session.step - 1, "constructed", words)
    return result


def _search_seconds(folder: Path) -> float:
    """Return how long warm-up and projection took, from the record, over all workers of the run."""
    steps = Run(folder).tail().steps
    return float(np.nansum(steps.seconds[steps.phase != "training"]))


def save_subnet(sub: Subnetwork, target: Path) -> dict[str, Any]:
    """Save the sub-network; return its part of the report."""
    require_folder(target.parent)  # not made again where it was deleted meanwhile
    make_folder(target)
    subnet.save(sub, target, mode=PRIVATE_FILE)
    # Which vertex went and which tensor was cut is in report.json; lists of runs need not read that.
    left_out = ("erased", "sliced", "widths")
    report = {name: value for name, value in sub.report.to_json().items() if name not in left_out}
    return report | {"imports": list(imports_of(sub.module))}


def _judge(session: Session, module: nn.Module) -> Measured:
    """Evaluate one of the two networks, on the device of the run."""
    return evaluate(
        module.to(session.device),
        session.split.validation,
        device=session.device,
        num_workers=session.settings.num_workers,
        loss=session.loss,
        meters=session.meters,
    )


def _record(session: Session, writer: Writer, name: str, measured: Measured) -> None:
    """Record the last evaluation of one of the two networks."""
    step, num_examples = session.step - 1, len(session.split.validation)
    epoch = step // session.schedule.steps_per_epoch
    numbers = measured.loss, measured.accuracy, num_examples, measured.metrics
    writer.evaluation(Evaluation(step, epoch, name, *numbers))
    if session.split.facts.kind == "text":
        writer.event(step, "phase", f"perplexity of the {name} network: {perplexity(measured.loss):.2f}")
