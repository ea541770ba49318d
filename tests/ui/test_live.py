"""A run that has just been started: what is seen before its worker has said anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from nasviz.catalog import NetworkSource
from nasviz.runs import RunSettings, Store, Writer


def visit(folder: Path) -> AppTest:
    def script(folder: str) -> None:
        from pathlib import Path

        from nasviz.runs import Run
        from nasviz.ui import session
        from nasviz.ui.parts import live
        from tests.ui.analyses import mixed

        session.current().analysis = mixed()
        live.watch(Run(Path(folder)))

    return AppTest.from_function(script, args=(str(folder),)).run(timeout=30)


@pytest.mark.parametrize(("network", "is_seen"), [("demonet", True), ("stacked_unets", False)])
def test_until_the_worker_has_traced_the_network_is_seen_as_it_was_before_the_start(
    network: str, is_seen: bool, tmp_path: Path
) -> None:
    run = Store(tmp_path).create(RunSettings.of(network=NetworkSource(network), target_sparsity=1))
    with Writer(run) as writer:
        app = visit(run.folder)
        writer.finish("cancelled")
    assert not app.exception
    captions = [c.value for c in app.caption if "Colours appear with the first scores" in c.value]
    assert bool(captions) is is_seen
    promises = [info.value for info in app.info if "once the worker has traced the network" in info.value]
    assert bool(promises) is not is_seen
