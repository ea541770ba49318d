"""The end of a run: construct the sub-network, save it, judge both networks, and report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from nasviz import nas, subnet
from nasviz.guarded_files import PRIVATE_FILE
from nasviz.nas import Derived, RelaxedOptimizer, SparseNAS, WidthSearch
from nasviz.optim import FilterSparsity, PenaltySearch, Slim
from nasviz.runs import Evaluation, Run, Writer
from nasviz.runs.files import SEARCHED, SPACE, SUBNET, make_folder, require_folder, write_json
from nasviz.subnet import Subnetwork
from nasviz.subnet.third_party import imports_of
from nasviz.subnet.zero import zero_channels
from nasviz.train.evaluation import evaluate
from nasviz.train.pruning import end_search
from nasviz.train.session import Session
from nasviz.train.windows import perplexity

__all__ = ["NO_PATH_LEFT", "VALID", "conclude"]

VALID = "valid"
NO_PATH_LEFT = "invalid: no path left"
"""What the report says of a run whose selection cuts the outputs off: a result, and no failure."""


def conclude(session: Session, folder: Path, writer: Writer) -> dict[str, Any]:
    """Write the sub-network into the run's folder; return the final report, plain data.

    The sub-network is made of the structures that were selected and have become zero; where these cut the
    network apart, there is none. Its accuracy is that straight after construction. Forms for other programs
    are written when somebody asks for them: an ONNX export takes longer than a construction.
    """
    optimizer, step = session.optimizer, session.step - 1
    if isinstance(optimizer, RelaxedOptimizer) and not isinstance(optimizer, WidthSearch):
        return _derive(session, folder, writer)
    end_search(session, writer)
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
    if isinstance(optimizer, Slim | FilterSparsity | WidthSearch):
        result |= _zeroed_channels(optimizer)
    if isinstance(optimizer, PenaltySearch):
        result["pruning"] = optimizer.pruning
        result["survivors"] = len(optimizer.unit_ids) - len(optimizer.pruned)
    if isinstance(optimizer, WidthSearch):
        result["pruning"] = optimizer.pruning
        result["survivors"] = len(optimizer.channel_scores.home) - len(optimizer.channels)
    result["outcome"] = VALID if result["is_valid"] else NO_PATH_LEFT
    if not result["is_valid"]:
        words = f"{NO_PATH_LEFT}: the {len(erased)} structures that became zero cut the network apart"
        writer.event(step, "warning", words)
        return result
    network = session.network.to("cpu")
    is_narrowed = session.settings.value("slim") or isinstance(optimizer, FilterSparsity | WidthSearch)
    channels = zero_channels(network, session.space, erased) if is_narrowed else ()
    sub = subnet.construct(network, session.space, erased, channels=channels, thorough=True)
    return _reported(result | _save(session, sub, folder / SUBNET, writer), accuracy, session, writer)


def _zeroed_channels(optimizer: Slim | FilterSparsity | WidthSearch) -> dict[str, Any]:
    """What made channel groups zero, and when: there may be thousands, so by reason and by step."""
    reasons: dict[str, list[int]] = {}
    steps: dict[str, list[int]] = {}
    for group, reason in optimizer.channels_zeroed_by.items():
        reasons.setdefault(reason, []).append(group)
    for group, step in optimizer.channels_zeroed_at.items():
        steps.setdefault(str(step), []).append(group)
    return {"channels_zeroed_by": reasons, "channels_zeroed_at": steps}


def _derive(session: Session, folder: Path, writer: Writer) -> dict[str, Any]:
    """The end of a search by architecture parameters: derive the network that they stand for.

    What is left counts fully, and its switches are folded away; the search space of the run becomes that of
    the settled network, in which every operation can go by itself.
    """
    step, optimizer = session.step - 1, session.optimizer
    if isinstance(optimizer, SparseNAS):
        optimizer.sparse.settle_()
    loss, accuracy = _judge(session, writer, "full", session.network)
    network = session.network.to("cpu")
    if isinstance(optimizer, SparseNAS):
        derived = nas.derived_sparse(network, session.space, optimizer)
    else:
        derived = nas.derived_network(network, session.space, edges_per_node=session.settings.kept_edges)
    write_json(folder / SEARCHED, session.space.to_json())
    write_json(folder / SPACE, derived.space.to_json())
    _tell_derivation(session, derived, writer)
    sub = nas.construct_derived(derived)
    result: dict[str, Any] = {
        "target_sparsity": len(derived.erased),
        "num_structures": len(derived.space.removable),
        "selected": list(derived.erased),
        "zeroed_by": dict.fromkeys(map(str, derived.erased), "derivation"),
        "zeroed_at": dict.fromkeys(map(str, derived.erased), step),
        "search_seconds": _search_seconds(folder),
        "kept": [switch.name for switch in derived.derivation.kept],
        "loss_full": loss,
        "accuracy_full": accuracy,
        "best_step": None,
        "best_accuracy": None,
        "is_valid": True,
        "outcome": VALID,
    }
    if isinstance(optimizer, SparseNAS):
        result["sparsity"] = optimizer.sparsity._asdict()
    writer.event(step, "phase", "the search ended; what is derived from it has yet to be trained anew")
    return _reported(result | _save(session, sub, folder / SUBNET, writer), accuracy, session, writer)


def _tell_derivation(session: Session, derived: Derived, writer: Writer) -> None:
    step, names = session.step - 1, {s.structure: s.name for s in derived.space.switches}
    weights = session.optimizer.scores
    for switch in derived.derivation.kept:
        words = f"{switch.name} stays, with a weight of {weights[switch.structure]:.3g}"
        writer.event(step, "kept", words, switch.structure)
    for structure in derived.erased:
        writer.event(step, "redundant", f"{names[structure]} goes", structure)
    for structure, reason in derived.derivation.spared.items():
        writer.event(step, "kept", f"{names[structure]} was not chosen, and stays: {reason}", structure)


def _reported(result: dict[str, Any], accuracy: float, session: Session, writer: Writer) -> dict[str, Any]:
    """The report, after its last line was told; with perplexities where a text was learned."""
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
    """The search cost: how long warm-up and projection took, from the record, over all workers of the run."""
    steps = Run(folder).tail().steps
    return float(np.nansum(steps.seconds[steps.phase != "training"]))


def _save(session: Session, sub: Subnetwork, target: Path, writer: Writer) -> dict[str, Any]:
    """Save and judge the sub-network; its part of the report."""
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
    """Loss and accuracy of one of the two networks, put on record."""
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
