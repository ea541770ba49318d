"""Short runs of DemoNet at a quarter of its widths, on digits in their own size."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nasviz.catalog import NetworkSource
from nasviz.runs import Run, RunSettings, Store
from nasviz.settings import METHODS
from nasviz.train import session

Make = Callable[..., RunSettings]


def short_settings(**changes: Any) -> RunSettings:
    """22 steps: 8 of warm-up, 8 of projection, 6 of training the full network; saved at every third."""
    network = NetworkSource("demonet", input_shape=(1, 8, 8), settings={"width": 0.25})
    settings: dict[str, Any] = {
        "network": network,
        "epochs": 2,
        "batch_size": 128,
        "checkpoint_steps": 3,
        "device": "cpu",
        "change_over": "off",
    }
    own = {"target_sparsity": 3, "warmup_steps": 8, "projection_steps": 8}
    method = METHODS[changes.get("optimizer", "h2spg")]
    return RunSettings.of(**settings | {n: v for n, v in own.items() if method.has(n)} | changes)


@pytest.fixture(autouse=True, scope="package")
def traced_once() -> Iterator[None]:
    """Trace each network of the catalog once for all sessions of this process; each gets its own.

    Of the search space a shallow copy is its own: optimizers are found by the object, and what it holds is
    never changed.
    """
    made: dict[str, tuple[Any, ...]] = {}
    original = session._trace_network

    def trace(settings: RunSettings, opened: Any) -> tuple[Any, ...]:
        source = settings.network
        if source.entry is None or source.weights is not None:
            return original(settings, opened)
        options = settings.from_scratch, settings.seed, settings.protect, settings.collapse, settings.frozen
        key = repr((source, options, opened.facts))
        if key not in made:
            made[key] = original(settings, opened)
        network, space, *others = made[key]
        return copy.deepcopy(network), copy.copy(space), *others

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "_trace_network", trace)
        yield


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def run(store: Store) -> Run:
    return store.create(short_settings())


def timeless(run: Run) -> dict[str, Any]:
    """The final report of a run without what differs from one machine to the next."""
    assert run.end is not None
    return {key: value for key, value in run.end.result.items() if key != "search_seconds"}
