"""Workers die by SIGKILL in every phase and in every write; the run ends as if none of it had been."""

from __future__ import annotations

import random
import signal
from dataclasses import replace
from typing import Any

import pytest
import torch

from nasviz.runs import Run, Store
from tests.faults.conftest import Live
from tests.faults.examining import assert_ends_alike, examine, left_over, lost_rows
from tests.faults.killed import Kill, made_path
from tests.train.conftest import short_settings

STAGED, CHECKPOINT, PREVIOUS = ".checkpoint.pt", "/checkpoint.pt", "/checkpoint.previous.pt"
FEW = (
    Kill("step", count=4, delay_s=0.003),
    Kill(STAGED, "open", delay_s=0.0005),
    Kill("INSERT OR REPLACE INTO steps", "sql"),
    Kill("step", count=8),
    Kill(PREVIOUS, "os.rename"),
    Kill("/end.json", "os.rename"),
)
"""In the warm-up, inside a checkpoint, inside a flush, at the selection, between two renames, at the end."""


def campaign(live: Live, straight: Run, killed: Run, kills: tuple[Kill, ...]) -> list[str]:
    """Kill a run again and again, and let it end; lines that tell what died where."""
    lines = [die_once(killed, live, kill) for kill in kills]
    assert live(killed) == 0
    assert_ends_alike(straight, killed)
    return lines


def position(run: Run) -> int:
    """Step at which the next worker begins."""
    paths = [run.folder / name for name in ("checkpoint.pt", "checkpoint.previous.pt")]
    found = [path for path in paths if path.exists()]
    return int(torch.load(found[0], weights_only=True)["step"]) if found else 0


def die_once(run: Run, live: Live, kill: Kill) -> str:
    if kill.event == "step":  # one that was delayed may have come further than it was meant to
        kill = replace(kill, count=min(21, max(kill.count, position(run))))
    assert live(run, kill) == -signal.SIGKILL, f"the run ended before {kill}"
    assert run.state == "crashed"
    examine(run)
    made, _, phase = made_path(run).read_text().partition(" ") if made_path(run).exists() else ("-1", "", "")
    lost = lost_rows(run, int(made))
    torn = ", torn: " + ", ".join(left_over(run.folder)) if left_over(run.folder) else ""
    return f"killed at {kill}: after step {made} ({phase or 'before training'}), {lost} rows lost{torn}"


def test_six_kills_change_nothing(store: Store, live: Live, straight: Run) -> None:
    lines = campaign(live, straight, store.create(short_settings(result="best")), FEW)
    assert len(lines) == 6


def test_kills_between_sum_and_checkpoint_never_push_out_the_sums_of_what_is_there(
    store: Store, live: Live
) -> None:
    run = store.create(short_settings())
    for kill in (Kill("step", count=7), *[Kill(PREVIOUS, "os.rename")] * 3):
        die_once(run, live, kill)  # looks at the sums
    assert live(run, Kill("step", count=10)) == -signal.SIGKILL, "it goes on from where it was"


PLACES = (
    (STAGED, "open"),
    ("/checkpoint.json", "os.rename"),
    (PREVIOUS, "os.rename"),
    (CHECKPOINT, "os.rename"),
    ("INSERT OR REPLACE INTO steps", "sql"),
    ("INSERT OR REPLACE INTO norms", "sql"),
    ("INSERT INTO events", "sql"),
    ("COMMIT", "sql"),
    ("DELETE FROM steps", "sql"),
    ("/environment.json", "os.rename"),
)


def random_kills(seed: int) -> tuple[Kill, ...]:
    """Four in the steps of each phase, one at each place, two at the end: in an order that gets on."""
    chance = random.Random(seed)
    steps = sorted(chance.sample(range(1, 8), 2)) + sorted(chance.sample(range(8, 19), 3))
    kills: list[Kill] = []
    places = chance.sample(PLACES, len(PLACES))
    for step in steps:
        kills.append(Kill("step", count=step, delay_s=chance.choice([0.0, chance.uniform(0, 0.02)])))
        for place, event in (places.pop(), places.pop()):
            kills.append(Kill(place, event, delay_s=chance.choice([0.0, chance.uniform(0, 0.004)])))
    return (
        *kills,
        Kill("/best.pt", "os.rename"),
        Kill(".saving-", "open", 2),
        Kill("/end.json", "os.rename"),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "changes"),
    [
        (1, {"mixup": 0.4, "lr_periods": 2}),
        (2, {"optimizer": "dhspg", "slim": 0.3}),
        (3, {"num_workers": 2, "base": "adamw", "lr": 0.005}),
    ],
    ids=["h2spg", "dhspg and slim", "loader processes"],
)
def test_a_campaign_of_kills_changes_nothing(
    store: Store, live: Live, seed: int, changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"change_over": "auto", "result": "best"} | changes
    undisturbed, killed = (store.create(short_settings(**changes)) for _ in range(2))
    assert live(undisturbed) == 0
    lines = campaign(live, undisturbed, killed, random_kills(seed))
    with capsys.disabled():
        print(f"\n{len(lines)} SIGKILLs, final weights and record equal to the undisturbed run's")
        print("\n".join(lines))
