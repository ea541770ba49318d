"""Which method finds the best cell? Architecture searches on few digits, at the sizes that they find.

    python -m tests.science.cells [--seeds 3] [--file build/science/cells.jsonl] [--table]

A network of two cells of NAS-Bench-201 carries four operations on each of their six edges. RARTS and DARTS
of both orders search one cell by a softmax, SparseNAS by a sparse group lasso,
GSparsity by group sparsity alone, for several mu. What each of them leaves is trained anew from the start, as
is what H2SPG, by default settings, leaves of the same network at the nearest number of parameters.

Every result is one line of JSON; a second start goes on where the first was stopped. `--table` only prints.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from tests.science.cell_search import CellStudy
from tests.science.cell_table import markdown
from tests.science.digits import read

SOFTMAX = {
    "DARTS, first order": ("darts", {"order": "first"}),
    "DARTS, second order": ("darts", {"order": "second"}),
    "RARTS": ("rarts", {}),
}
"""Methods that keep one operation on each edge, the strongest of a softmax."""
STRENGTHS = (0.02, 0.05, 0.1, 0.2, 0.5)
"""mu of GSparsity."""
FULL, SPARSE, H2SPG = "full network", "SparseNAS", "H2SPG"


def results(seed: int, known: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All results of a seed that are not among the known ones, which are of the same seed."""
    is_known = {row["method"] for row in known}
    study = CellStudy(seed)
    if FULL not in is_known:
        yield {"method": FULL} | study.full()
    rows = list(known)
    for name, (method, settings) in SOFTMAX.items():
        if name not in is_known:
            rows.append({"method": name} | study.softmax(method, **settings))
            yield rows[-1]
    if SPARSE not in is_known:
        rows.append({"method": SPARSE} | study.sparse())
        yield rows[-1]
    for mu in STRENGTHS:
        if (name := f"GSparsity, mu = {mu:g}") not in is_known:
            rows.append({"method": name, "mu": mu} | study.gsparsity(mu))
            yield rows[-1]
    for row in rows:
        name = f"{H2SPG} beside {row['method']}"
        is_comparable = row.get("parameters") and not row["method"].startswith((H2SPG, FULL))
        if is_comparable and name not in is_known:
            yield {"method": name} | study.h2spg(row["parameters"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--file", type=Path, default=Path("build/science/cells.jsonl"))
    parser.add_argument("--table", action="store_true", help="print what is known, and train nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    path: Path = arguments.file
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = read(path)
    for seed in range(0 if arguments.table else arguments.seeds):
        for result in results(seed, [row for row in rows if row["seed"] == seed]):
            row = result | {"seed": seed}
            rows.append(row)
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(f"seed {seed}: {json.dumps(row)}", flush=True)
    print(markdown(rows))


if __name__ == "__main__":
    main()
