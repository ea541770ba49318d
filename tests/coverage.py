"""Try many networks: is each traced, and cut exactly? Prints a table and writes it as JSON.

    python -m tests.coverage [--families timm transformers] [--names resnet18 ...] [--minutes 20]
    python -m tests.coverage --resume          # only what the JSON does not hold yet
    python -m tests.coverage --publish         # write the README's table and assets/networks.md from the JSON

Every network runs in a process of its own with a time limit, so that a crash or a hang is one row. Weights
are random and lively. A sub-network counts as exact where it differs from the full network with its
redundant groups at zero by at most 1e-5 of the largest output in evaluation mode, both as `construct`
measures it and from outside, on the user's own module. `effect` is how much the removal changes the output.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TOLERANCE = 1e-5
ROOT = Path(__file__).parents[1]
MARKS = ("<!-- networks: begin -->\n", "<!-- networks: end -->")
COLUMNS = (
    "family",
    "network",
    "rung",
    "parity",
    "structures",
    "K_max",
    "error",
    "effect",
    "saved at K_max",
    "materialised",
    "seconds",
)


def measure(family: str, name: str) -> dict[str, Any]:
    """One row: everything that is known of one network."""
    import torch

    from tests.families import build

    torch.set_num_threads(1)
    start = time.perf_counter()
    row: dict[str, Any] = {"family": family, "name": name, "traced": False, "exact": False, "cuts": []}
    try:
        model, inputs = build(family, name)
        row["parameters"] = sum(p.numel() for p in model.parameters())
        _fill(row, model, inputs)
    except Exception as error:
        row["error"] = f"{type(error).__name__}: {error}"[:2000]
    row["seconds"] = round(time.perf_counter() - start, 1)
    return row


def _fill(row: dict[str, Any], model: Any, inputs: Any) -> None:
    import nasviz

    start = time.perf_counter()
    net = nasviz.trace(model, inputs)
    row |= {
        "traced": True,
        "rung": net.parity.strategy,
        "warnings": list(net.parity.warnings),
        "parity": net.parity.worst,
        "seconds_of_trace": round(time.perf_counter() - start, 1),
    }
    space = nasviz.search_space(net)
    most = space.max_sparsity
    row |= {"vertices": len(space.trace), "structures": len(space.removable), "max_sparsity": most}
    for k in sorted({min(1, most), most // 2, most} - {0}):
        generator = random.Random(k)
        chosen = space.select({s.id: generator.random() for s in space.removable}, k)
        sub = nasviz.construct(net, space, chosen, inputs=inputs)
        report = sub.report
        checks = {check.name: check.relative_error for check in report.checks}
        row["cuts"].append(
            {
                "k": k,
                "errors": checks,
                "independent_error": _independent_error(model, space, chosen, sub.module, inputs),
                "effect": report.effect,
                "parameters_saved": report.params_before - report.params_after,
                "materialised": len(report.materialised),
            }
        )
    row["exact"] = all(_is_exact(cut) for cut in row["cuts"])


def _is_exact(cut: dict[str, Any]) -> bool:
    errors = [error for name, error in cut["errors"].items() if name.startswith("evaluation")]
    return max(*errors, cut["independent_error"]) <= TOLERANCE


def _independent_error(model: Any, space: Any, chosen: tuple[int, ...], small: Any, inputs: Any) -> float:
    """The user's own module with its groups at zero (and back again) against the sub-network."""
    import torch
    from torch.utils import _pytree as pytree

    import nasviz

    group, tensors = space.group(chosen), dict(model.named_parameters())
    before = {n: tensors[n].detach().clone() for n in {*group.tensors, *(row.tensor for row in group.rows)}}
    nasviz.project_to_zero_(model, space, chosen)
    with torch.no_grad():
        wanted, its_form = pytree.tree_flatten(_call(model.eval(), inputs))
        got, my_form = pytree.tree_flatten(_call(small.eval(), inputs))
        for name, value in before.items():
            tensors[name].copy_(value)
    if its_form != my_form:
        raise TypeError(f"the sub-network returns {my_form}, the network {its_form}")
    pairs = [(w, g) for w, g in zip(wanted, got, strict=True) if isinstance(w, torch.Tensor)]
    return max(float((w - g).abs().max() / w.abs().max().clamp(min=1e-30)) for w, g in pairs)


def _call(network: Any, inputs: Any) -> Any:
    if isinstance(inputs, dict):
        return network(**inputs)
    return network(*inputs) if isinstance(inputs, tuple) else network(inputs)


def in_child(family: str, name: str, limit_s: float) -> dict[str, Any]:
    """The row of one network, measured in a child process; what became of the child where it gave none."""
    command = [sys.executable, "-m", "tests.coverage", "--measure", family, name]
    row = {"family": family, "name": name, "traced": False, "exact": False, "cuts": [], "seconds": limit_s}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=limit_s,
            cwd=ROOT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return row | {"error": f"took more than {limit_s:.0f} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"family"')]
    if not lines:
        return row | {"error": f"the process ended with {done.returncode}: {done.stderr.strip()[-300:]}"}
    measured: dict[str, Any] = json.loads(lines[-1])
    return measured


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown, with the totals in front."""
    lines = [totals(rows), "", f"| {' | '.join(COLUMNS)} |", "|" + " --- |" * len(COLUMNS)]
    return "\n".join([*lines, *(_line(row) for row in rows)])


def totals(rows: list[dict[str, Any]]) -> str:
    """How many networks were tried, traced and cut exactly, and what went at K_max, by family and in all."""
    lines = [
        "| family | tried | traced | exact | something to remove | saved at K_max: median (range) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    families = dict.fromkeys(row["family"] for row in rows)
    for family in [*families, "all"]:
        mine = [row for row in rows if family in (row["family"], "all")]
        counts = [
            len(mine),
            *(sum(bool(r.get(k)) for r in mine) for k in ("traced", "exact", "max_sparsity")),
        ]
        lines.append(f"| {family} | {' | '.join(map(str, counts))} | {_spread(mine)} |")
    return "\n".join(lines)


def _spread(rows: list[dict[str, Any]]) -> str:
    shares = [row["cuts"][-1]["parameters_saved"] / row["parameters"] for row in rows if row["cuts"]]
    if not shares:
        return "-"
    return f"{statistics.median(shares):.0%} ({min(shares):.0%} to {max(shares):.0%})"


def publish(rows: list[dict[str, Any]]) -> None:
    """Write the totals into the README and every row into assets/networks.md."""
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    readme.write_text(f"{before}{MARKS[0]}{totals(rows)}\n{MARKS[1]}{after}")
    title = "# Networks tried\n\nWritten by `make networks`; `tests/coverage.py` explains it.\n"
    (ROOT / "assets" / "networks.md").write_text(f"{title}\n{table(rows)}\n")


def _line(row: dict[str, Any]) -> str:
    cells = [row["family"], row["name"], row.get("rung", "none").removeprefix("export, ")]
    if not row["traced"] or "error" in row:
        reason = row.get("error", "").splitlines() or [""]
        return f"| {' | '.join(cells)} | {reason[0][:200].replace('|', '/')} |"
    cells += [f"{row['parity']:.0e}", str(row["structures"]), str(row["max_sparsity"])]
    cuts = row["cuts"]
    if cuts:
        errors = [
            max([c["independent_error"], *(e for n, e in c["errors"].items() if n.startswith("evaluation"))])
            for c in cuts
        ]
        last, share = cuts[-1], cuts[-1]["parameters_saved"] / row["parameters"]
        effects = ", ".join(f"{c['effect']:.0e}" for c in cuts)
        cells += [", ".join(f"{e:.0e}" for e in errors), effects, f"{share:.0%}", str(last["materialised"])]
    else:
        cells += ["-", "-", "0%", "-"]
    return f"| {' | '.join([*cells, str(row['seconds'])])} |"


def main(arguments: list[str]) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--families", nargs="*", help="all when left out")
    parser.add_argument("--names", nargs="*", help="only these networks")
    parser.add_argument("--minutes", type=float, help="start no network after so long")
    parser.add_argument("--limit", type=float, default=300, help="seconds for one network")
    parser.add_argument("--json", type=Path, default=Path("coverage.json"), help="file to write")
    parser.add_argument("--resume", action="store_true", help="keep the rows of the file, try the others")
    parser.add_argument("--publish", action="store_true", help="try nothing; write the tables of the file")
    parser.add_argument("--measure", nargs=2, metavar=("FAMILY", "NAME"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return

    is_kept = (options.resume or options.publish) and options.json.exists()
    rows = json.loads(options.json.read_text()) if is_kept else []
    if options.publish:
        publish(rows)
        return

    from tests.families import FAMILIES

    start, known = time.monotonic(), {(row["family"], row["name"]) for row in rows}
    for family in options.families or FAMILIES:
        for name in FAMILIES[family].names:
            is_late = options.minutes and time.monotonic() - start > 60 * options.minutes
            is_unasked = options.names and name not in options.names
            if is_late or is_unasked or (family, name) in known:
                continue
            rows.append(in_child(family, name, options.limit))
            print(_line(rows[-1]), file=sys.stderr, flush=True)
            options.json.write_text(json.dumps(rows, indent=1))
    print(table(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
