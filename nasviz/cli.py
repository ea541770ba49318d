"""The same work without a browser: `nasviz analyze | construct | train | sweep | ablation | runs | export`.

What goes wrong on purpose (a `NasvizError`) is one line on stderr and exit code 2. torch is loaded only by
the commands that need it.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from nasviz import commands, jobs
from nasviz.errors import InvalidSettingError, NasvizError
from nasviz.guarded_files import replace_file
from nasviz.runs import Run, Store, SweepSettings, continue_run
from nasviz.runs import open as open_run
from nasviz.settings.files import schema

__all__ = ["main"]

TRUST_HELP = "folder that the run may import Python from, where it is not this user's own (default: ask)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what it returns is the exit code of the process."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    args = _parser(commands.method_in(given)).parse_args(given)
    args.typed = given
    try:
        code: int = args.command(args)
        sys.stdout.flush()
    except NasvizError as error:
        print(f"nasviz: {commands.plain(str(error))}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has seen enough: what is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"nasviz: {commands.plain(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


# ---- commands ----


def _analyze(args: argparse.Namespace) -> int:
    if args.network.endswith(".onnx"):
        found = jobs.view_onnx(args.network, args.protect, args.collapse).require()
        document = commands.viewed(commands.plain(args.network), found, switchable=args.switchable)
    else:
        source = commands.source_of(args, args.network)
        wishes = args.protect, args.collapse, args.latency
        document = commands.analyze(source, *wishes, switchable=args.switchable)
    if args.json:
        _print_json(document)
    else:
        _print_lines(commands.analysis_lines(document))
    return 0


def _construct(args: argparse.Namespace) -> int:
    source = commands.source_of(args, args.network)
    wishes = {"protect": args.protect, "collapse": args.collapse}
    result = commands.construct(source, args.folder, args.erase, args.gate, **wishes)
    if args.json:
        _print_json(result)
    else:
        _print_lines(commands.constructed_lines(result))
    return 0


def _train(args: argparse.Namespace) -> int:
    if args.schema:
        _print_json(schema())
        return 0
    settings = commands.settings_of(args)
    trust = commands.require_typed([settings], args)
    if args.download:
        commands.download_data([settings], None if args.quiet else sys.stdout)
    commands.check_steps(settings)
    store = Store(args.runs)
    run = store.create(settings)
    try:
        return _work(run, args, trust)
    except InvalidSettingError:
        # A mistake that only the opened network shows, such as a K that cannot go: the run has never begun.
        if not run.is_active and run.tail().last_step < 0:
            store.erase(store.delete(run.id).name)
        raise


def _sweep(args: argparse.Namespace) -> int:
    if args.preset is not None:
        return _run_sweep(commands.preset_settings(args), args)
    if args.model is None and args.config is None:
        raise InvalidSettingError(
            "a sweep needs a network or a preset: --model demonet, or --preset h2spg_against_dhspg"
        )
    if args.survivors is not None:
        return _run_sweep(commands.bisection_settings(commands.settings_of(args), args), args)
    settings = SweepSettings(commands.settings_of(args), tuple(args.grid), args.title)
    return _run_sweep(settings, args)


def _run_sweep(settings: SweepSettings, args: argparse.Namespace) -> int:
    commands.require_typed(settings.runs, args)
    if args.download:
        commands.download_data(settings.runs, None if args.quiet else sys.stdout)
    return commands.run_sweep(settings, args)


def _resume(args: argparse.Namespace) -> int:
    run = _open(args)
    if run.state == "paused":
        run.request("resume")
        commands.say(f"{run.id} goes on")
        return 0
    return _work(run, args, commands.consent(run, args))


def _work(run: Run, args: argparse.Namespace, trust: Iterable[str]) -> int:
    place = shlex.join([run.id, "--runs", str(args.runs)])
    if args.detach:
        commands.start_detached(run, trust)
        commands.say(f"{run.id} is training; watch it: nasviz runs show {place} --follow")
        return 0
    if not args.quiet:
        commands.say(f"{run.id} in {run.folder}")
    state, code = commands.train_here(run, None if args.quiet else sys.stdout, trust)
    if state != "done":
        commands.say(f"stopped, {run.progress or 0:.0%} done; go on with: nasviz runs resume {place}")
        return code
    _print_lines(commands.result_lines(run))
    commands.say(f"export it: nasviz export {place} --onnx model.onnx")
    return 0


def _continue(args: argparse.Namespace) -> int:
    run = _open(args)
    trust = commands.consent(run, args)
    further = continue_run(Store(args.runs), run, args.epochs, lr=args.lr, is_confirmed=True)
    return _work(further, args, trust)


def _list(args: argparse.Namespace) -> int:
    summaries = Store(args.runs).list()
    if args.json:
        _print_json([commands.summary_document(summary) for summary in summaries])
    elif summaries:
        _print_lines(commands.list_lines(summaries))
    else:
        commands.say(f"no runs in {args.runs}")
    return 0


def _show(args: argparse.Namespace) -> int:
    run = _open(args)
    if args.follow:
        commands.follow(run, sys.stderr if args.json else sys.stdout)  # what is JSON stays JSON alone
    if args.json:
        _print_json(commands.document_of(run))
    else:
        _print_lines(commands.run_lines(run))
    return 0


def _cancel(args: argparse.Namespace) -> int:
    from nasviz import jobs

    run = _open(args)
    has_ended = jobs.cancel_run(run, wait_s=args.wait)
    commands.say(f"{run.id} is {run.state}" if has_ended else f"{run.id} was asked to stop and still works")
    return 0 if has_ended else 1


def _export(args: argparse.Namespace) -> int:
    run = _open(args)
    wanted = {form: path for form in commands.FORMS if (path := getattr(args, form)) is not None}
    if not wanted:
        options = ", ".join(f"--{form.replace('_', '-')} PATH" for form in commands.FORMS)
        raise InvalidSettingError(f"nothing to export: name at least one of {options}")
    if words := commands.check_files(run):
        commands.say(words)
    for form, path in wanted.items():
        words = commands.FORMS[form](run, path)
        commands.say(f"wrote {path}: {words}")
    return 0


def _genotype(args: argparse.Namespace) -> int:
    from nasviz.draw.genotype import cells_of, genotype_dot, summary
    from nasviz.draw.layout import layout
    from nasviz.graph.cells.genotypes import genotype_json, genotype_text

    cells = cells_of(_open(args))
    for cell in cells:
        dot, stem = genotype_dot(cell), f"cell-{cell.name.replace(' ', '-')}"
        for folder, ending in ((args.dot, "dot"), (args.svg, "svg")):
            if folder is not None:
                replace_file(folder / f"{stem}.{ending}", dot if ending == "dot" else layout(dot))
    if args.json:
        _print_json(genotype_json(cells))
    else:
        _print_lines([*genotype_text(cells).splitlines(), f"({summary(cells)})"])
    return 0


# ---- arguments ----


def _open(args: argparse.Namespace) -> Run:
    """A run by its id, or by its folder."""
    return open_run(args.run, args.runs)


def _ablation(args: argparse.Namespace) -> int:
    from nasviz.draw.ablation_chart import ablation_chart

    points = commands.run_ablation(args.folder, args.seeds, args.epochs, None if args.quiet else sys.stdout)
    chart = args.folder / "ablation.html"
    replace_file(chart, ablation_chart(points).to_html())
    _print_lines([f"{len(points)} rows in {args.folder / 'ablation.csv'}, four plots in {chart}"])
    return 0


def _parser(method: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of all commands; `method` limits the help on settings to one search method."""
    parser = commands.Parser(
        prog="nasviz",
        description="See what a neural network could lose, train it down, take the exact smaller one home.",
        epilog="`nasviz COMMAND --help` says the rest. The same work in a browser: streamlit run app.py",
    )
    parser.set_defaults(command=_help_of(parser))
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")

    analyze = subparsers.add_parser("analyze", help="what a network could lose, and why not the rest")
    commands.add_network(analyze, "network", metavar="NETWORK", more=", or FILE.onnx, to look at only")
    _add_json(analyze)
    analyze.add_argument(
        "--latency",
        type=int,
        metavar="BATCH",
        help="time every operator for batches of this size: what would each structure save?",
    )
    analyze.add_argument(
        "--switchable",
        action="store_true",
        help="count pooling and identity edges too, as if each had a switch",
    )
    analyze.set_defaults(command=_analyze)

    construct = subparsers.add_parser("construct", help="cut structures out of a network, without training")
    commands.add_network(construct, "network", metavar="NETWORK")
    commands.add_cut(construct)
    _add_json(construct)
    construct.set_defaults(command=_construct)

    train = subparsers.add_parser("train", help="train a network while structures go to zero")
    commands.add_network(train, "--model", metavar="NETWORK")
    commands.add_config(train)
    commands.add_download(train)
    train.add_argument("--schema", action="store_true", help="print the JSON schema of --config, and end")
    _add_work(train)
    commands.add_settings(train, method)
    train.set_defaults(command=_train)

    sweep = subparsers.add_parser("sweep", help="train a grid of runs, several at a time")
    commands.add_network(sweep, "--model", metavar="NETWORK")
    commands.add_config(sweep)
    commands.add_download(sweep)
    commands.add_sweep_arguments(sweep)
    commands.add_settings(sweep, method)
    sweep.set_defaults(command=_sweep)

    ablation = subparsers.add_parser("ablation", help="compare sparse optimizers on digits, in four plots")
    commands.add_ablation_arguments(ablation)
    ablation.set_defaults(command=_ablation)

    runs = subparsers.add_parser("runs", help="list, show, resume, continue or cancel runs")
    runs.set_defaults(command=_help_of(runs))
    _add_runs_commands(runs.add_subparsers(title="commands", metavar="COMMAND"))

    genotype = subparsers.add_parser("genotype", help="the cells that a run has chosen, or would choose now")
    _add_run(genotype)
    _add_json(genotype)
    genotype.add_argument("--dot", type=Path, metavar="DIR", help="write each cell as Graphviz source")
    genotype.add_argument("--svg", type=Path, metavar="DIR", help="write each cell as a picture")
    genotype.set_defaults(command=_genotype)

    export = subparsers.add_parser("export", help="write what a run has left")
    _add_run(export)
    export.add_argument("--onnx", type=Path, metavar="FILE", help="the sub-network as ONNX, checked")
    export.add_argument(
        "--onnx-plain", type=Path, metavar="FILE", help="the same, not simplified: a node for every operator"
    )
    export.add_argument("--pt2", type=Path, metavar="FILE", help="the sub-network by torch.export, checked")
    export.add_argument("--html", type=Path, metavar="FILE", help="the report, with graphs that zoom")
    export.add_argument(
        "--model-explorer", type=Path, metavar="FILE", help="graph and node data for Model Explorer, one zip"
    )
    export.add_argument("--folder", type=Path, metavar="DIR", help="the sub-network: Python, weights, report")
    export.add_argument("--csv", type=Path, metavar="FILE", help="the steps, one line each")
    export.add_argument("--json", type=Path, metavar="FILE", help="everything on record")
    export.add_argument("--parquet", type=Path, metavar="FILE", help="the steps, one row each")
    export.add_argument("--tensorboard", type=Path, metavar="DIR", help="the curves, as events")
    export.add_argument("--mlflow", metavar="URI", help="log it to a store of MLflow, as in sqlite:///m.db")
    export.set_defaults(command=_export)
    return parser


def _help_of(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    def show(args: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    return show


def _add_runs_commands(subparsers: Any) -> None:
    listing = subparsers.add_parser("list", help="all runs, newest first")
    _add_folder(listing)
    _add_json(listing)
    listing.set_defaults(command=_list)

    show = subparsers.add_parser("show", help="one run: settings, progress, result")
    _add_run(show)
    _add_json(show)
    show.add_argument("--follow", action="store_true", help="first watch it until it ends")
    show.set_defaults(command=_show)

    resume = subparsers.add_parser("resume", help="go on from the latest checkpoint")
    _add_run(resume)
    commands.add_trust(resume, TRUST_HELP)
    _add_work(resume, has_folder=True)
    resume.set_defaults(command=_resume)

    further = subparsers.add_parser("continue", help="train a run that is done for more epochs, as a new run")
    _add_run(further)
    commands.add_trust(further, TRUST_HELP)
    further.add_argument("--epochs", type=int, required=True, metavar="N", help="how many more")
    further.add_argument("--lr", type=float, help="learning rate at the first of them (default: the run's)")
    _add_work(further, has_folder=True)
    further.set_defaults(command=_continue)

    cancel = subparsers.add_parser("cancel", help="stop a run at a checkpoint; it can be resumed")
    _add_run(cancel)
    cancel.add_argument(
        "--wait", type=float, default=10.0, metavar="SECONDS", help="for its end (default: 10)"
    )
    cancel.set_defaults(command=_cancel)


def _add_work(parser: argparse.ArgumentParser, *, has_folder: bool = False) -> None:
    if not has_folder:
        _add_folder(parser)
    parser.add_argument("--detach", action="store_true", help="train in the background")
    parser.add_argument("--quiet", action="store_true", help="print the result only")


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="id of a run, or its folder")
    _add_folder(parser)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of the runs (default: runs)"
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(commands.plain(line))


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    sys.exit(main())
