"""`nasviz train`: the options of a new run."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from nasviz.cli.options import (
    ANY_NETWORK,
    RUNS,
    AsJson,
    Config,
    Detach,
    Download,
    NetworkName,
    NetworkOptions,
    Quiet,
    RunsFolder,
    settings_of,
    with_settings,
)
from nasviz.cli.text import answer, progress
from nasviz.errors import DataError, InvalidSettingError

__all__ = ["train"]


@with_settings()
def train(
    *,
    model: Annotated[NetworkName | None, Parameter(name="--model", metavar="NETWORK")] = None,
    config: Config = None,
    network: NetworkOptions = ANY_NETWORK,
    download: Download = False,
    schema: Annotated[bool, Parameter(help="Print the JSON schema of --config.", show_default=False)] = False,
    runs: RunsFolder = RUNS,
    detach: Detach = False,
    quiet: Quiet = False,
    json: AsJson = False,
    **given: Any,
) -> int:
    """Train a network while redundant structures go to zero, and construct the sub-network.

    Under torchrun, the command is one process of the run: torchrun --nproc-per-node 2 -m nasviz train ...
    """
    # The help needs the settings alone; runs, drawing and their libraries take longer to import than it all.
    if schema:
        from nasviz.settings.files import schema as settings_schema

        answer(json=True, document=settings_schema(), lines=())
        return 0
    from nasviz.cli import torchrun
    from nasviz.cli.consent import require_typed
    from nasviz.cli.working import check_steps, download_data, work
    from nasviz.runs import Store

    settings = settings_of(model, config, network, given)
    if torchrun.is_member():
        return torchrun.train_member(settings, network.folders, runs)
    require_typed([settings], network.folders, runs)
    if download:
        download_data([settings], progress(json=json, quiet=quiet))
    check_steps(settings)
    store = Store(runs)
    run = store.create(settings)
    try:
        return work(run, network.folders, detach=detach, quiet=quiet, json=json)
    except (InvalidSettingError, DataError):
        # A mistake that only opened data or networks show, such as a K that is too large: it has not begun.
        if not run.is_active and run.tail().last_step < 0:
            store.erase(store.delete(run.id).name)
        raise
