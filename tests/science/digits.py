"""Which structures should go? H2SPG by every saliency against random and late selection, on few digits.

    python -m tests.science.digits [--seeds 3] [--file build/science/digits.jsonl] [--slim] [--table]

Two small networks learn 200 noisy digits, so that even the full networks are wrong on one image in seven and
a bad selection shows. What is compared: the full network; H2SPG by each saliency; a random valid selection,
which is H2SPG by random scores; structures taken out after training, by their average magnitude, as they are
and fine-tuned. Each at half of K_max, at K_max, and at matched size: then the K is taken whose sub-network
comes closest to half of the parameters.

`--slim` compares channels instead: each saliency chooses a half, or four fifths, of the channel groups.

Every result is one line of JSON; a second start goes on where the first was stopped. `--table` only prints.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from nasviz.graph import SearchSpace
from tests.science.networks import NETWORKS
from tests.science.table import markdown
from tests.science.training import FINE_TUNING_STEPS, Study, Trained

FULL, LATE, TUNED = "full network", "magnitude, after training", "magnitude, after training, fine-tuned"
SALIENCIES = ("taylor", "documents", "magnitude", "cosine", "hesso", "snip", "random")
SIZES = ("half of K_max", "K_max", "half of the parameters")

SHARES = {"half of the channels": 0.5, "four fifths of the channels": 0.8}

Choose = Callable[[SearchSpace, Mapping[int, float]], tuple[int, ...]]


def chooser(size: str) -> Choose:
    """How many structures go: a share of K_max, or as many as bring the sub-network closest to half."""

    def by_count(space: SearchSpace, scores: Mapping[int, float]) -> tuple[int, ...]:
        k = space.max_sparsity if size == "K_max" else math.ceil(space.max_sparsity / 2)
        return space.select(scores, k)

    def by_parameters(space: SearchSpace, scores: Mapping[int, float]) -> tuple[int, ...]:
        every = [space.select(scores, k) for k in range(space.max_sparsity + 1)]
        half = space.trace.num_parameters / 2
        return min(every, key=lambda erased: abs(math.log(space.plan(erased).params_after / half)))

    return by_parameters if size == "half of the parameters" else by_count


def results(network: str, seed: int, known: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All results of a network and a seed that are not among the known ones, which are of the same two."""
    is_known = {(row["method"], row["size"]) for row in known}
    study = Study(network, seed)
    late = [key for name in (LATE, TUNED) for size in SIZES if (key := (name, size)) not in is_known]
    if late or (FULL, "") not in is_known:
        full = study.train()
        if (FULL, "") not in is_known:
            yield full.judge(()) | {"method": FULL, "size": "", "sizes": _sizes(study)}
        for name, size in late:
            yield _after_training(full, name, size) | {"method": name, "size": size}
    searched = [row for row in known if row["method"] in SALIENCIES]
    measured = {frozenset(row["selected"]): row for row in searched}
    for saliency in SALIENCIES:
        sizes = [size for size in SIZES if (saliency, size) not in is_known]
        scores = study.scores(saliency) if sizes else {}
        for size in sizes:
            erased = chooser(size)(study.space, scores)
            found = measured.setdefault(frozenset(erased), {}) or study.train(erased).judge()
            measured[frozenset(erased)] = found
            scored = {"scores": {str(i): score for i, score in scores.items()}}
            yield found | scored | {"method": saliency, "size": size}


def slim_results(network: str, seed: int, known: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The same for channels."""
    is_known = {(row["method"], row["size"]) for row in known}
    study = Study(network, seed)
    if (FULL, "") not in is_known:
        yield study.train().judge(()) | {"method": FULL, "size": ""}
    for saliency in SALIENCIES:
        for size, share in SHARES.items():
            if (saliency, size) not in is_known:
                yield study.slim(saliency, share).judge() | {"method": saliency, "size": size}


def _after_training(full: Trained, name: str, size: str) -> dict[str, Any]:
    erased = chooser(size)(full.study.space, full.magnitudes())
    return full.judge(erased, fine_tuning_steps=FINE_TUNING_STEPS if name == TUNED else 0)


def _sizes(study: Study) -> dict[str, int]:
    return {str(s.id): s.num_parameters for s in study.space.removable}


def read(path: Path) -> list[dict[str, Any]]:
    """The results so far; a last line that was cut off by a kill is left out, and ended."""
    text = path.read_text() if path.exists() else ""
    if text and not text.endswith("\n"):
        path.write_text(text + "\n")
    rows = []
    for line in text.splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--slim", action="store_true", help="compare channels instead of structures")
    parser.add_argument("--table", action="store_true", help="print what is known, and train nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    path: Path = arguments.file or Path(f"build/science/{'slim' if arguments.slim else 'digits'}.jsonl")
    compare = slim_results if arguments.slim else results
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = read(path)
    for seed in range(0 if arguments.table else arguments.seeds):
        for network in NETWORKS:
            known = [row for row in rows if (row["network"], row["seed"]) == (network, seed)]
            for result in compare(network, seed, known):
                row = result | {"network": network, "seed": seed}
                rows.append(row)
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                size = f", {row['size']}" if row["size"] else ""
                print(f"{network}, seed {seed}: {row['method']}{size}: {row['accuracy']:.1%}", flush=True)
    print(markdown(rows))


if __name__ == "__main__":
    main()
