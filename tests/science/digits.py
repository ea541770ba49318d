"""Which structures should go? H2SPG by every saliency against random and late selection, on few digits.

    python -m tests.science.digits [--seeds 3] [--file build/science/digits.jsonl] [--table]

Two small networks learn 200 noisy digits, so that even the full networks are wrong on one image in seven and
a bad selection shows. What is compared: the full network; H2SPG by each saliency; a random valid selection,
which is H2SPG by random scores; structures taken out after training, by their average magnitude, as they are
and fine-tuned. Each at half of K_max, at K_max, and at matched size: then the K is taken whose sub-network
comes closest to half of the parameters.

Every result is one line of JSON; a second start goes on where the first was stopped. `--table` only prints.
"""

from __future__ import annotations

import argparse
import json
import math
import time
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


def results(network: str, seed: int, is_known: Callable[[str, str], bool]) -> Iterator[dict[str, Any]]:
    """All results of a network and a seed that are not known yet."""
    study = Study(network, seed)
    late = [(name, size) for name in (LATE, TUNED) for size in SIZES]
    if any(not is_known(*key) for key in ((FULL, ""), *late)):
        start = time.perf_counter()
        full = study.train()
        seconds = time.perf_counter() - start
        if not is_known(FULL, ""):
            yield full.judge(()) | {"method": FULL, "size": "", "seconds": seconds, "sizes": _sizes(study)}
        for name, size in late:
            if not is_known(name, size):
                yield _after_training(full, name, size) | {"method": name, "size": size}
    for saliency in SALIENCIES:
        for size in SIZES:
            if not is_known(saliency, size):
                start = time.perf_counter()
                trained = study.train(saliency, chooser(size))
                seconds = time.perf_counter() - start
                yield trained.judge() | {
                    "method": saliency,
                    "size": size,
                    "seconds": seconds,
                    "scores": {str(i): score for i, score in trained.scores.items()},
                }


def _after_training(full: Trained, name: str, size: str) -> dict[str, Any]:
    erased = chooser(size)(full.study.space, full.magnitudes())
    return full.judge(erased, fine_tuning_steps=FINE_TUNING_STEPS if name == TUNED else 0)


def _sizes(study: Study) -> dict[str, int]:
    return {str(s.id): s.num_parameters for s in study.space.removable}


def read(path: Path) -> list[dict[str, Any]]:
    """The results so far; a last line that was cut off by a kill is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--file", type=Path, default=Path("build/science/digits.jsonl"))
    parser.add_argument("--table", action="store_true", help="print what is known, and train nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    path: Path = arguments.file
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = read(path)
    known = {(row["network"], row["seed"], row["method"], row["size"]) for row in rows}
    for seed in range(0 if arguments.table else arguments.seeds):
        for network in NETWORKS:
            new = results(network, seed, lambda *key, place=(network, seed): (*place, *key) in known)
            for result in new:
                row = {"network": network, "seed": seed} | result
                rows.append(row)
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                size = f", {row['size']}" if row["size"] else ""
                print(f"{network}, seed {seed}: {row['method']}{size}: {row['accuracy']:.1%}", flush=True)
    print(markdown(rows))


if __name__ == "__main__":
    main()
