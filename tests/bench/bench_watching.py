"""What watching costs: `python tests/bench/bench_watching.py [--quick] [PART ...]`.

A worker that makes a step every 5 ms and notes the time of each; readers that poll twice a second; five real
browser pages that follow the run; 20 runs of 100,000 steps to list and open; checkpoints. Budgets: poll under
20 ms and value on screen at most 1 s old (95th percentiles), lists and opens under 1 s. The slowdown of
training by being watched is measured in turns, so that other work on the machine falls on both.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from nasviz.catalog import NetworkSource
from nasviz.jobs import cancel_run, start_run
from nasviz.runs import Run, RunSettings, StepRecord, Store, Writer
from nasviz.train import open_session, train
from nasviz.train.checkpoint import save
from nasviz.ui.parts.run_facts import ROWS
from tests.conftest import ARGUMENTS, CHROMIUM

if TYPE_CHECKING:
    from playwright.sync_api import Page

NUM_RUNS, NUM_STEPS, NUM_PAGES = 20, 100_000, 5
STEP_S = 0.005
SAMPLE = """(live) => {
    window.ages = [];
    window.sampler = setInterval(() => {
        const found = /step (\\d+)/.exec(live.querySelector(".said").textContent);
        if (found) window.ages.push([Date.now() / 1000, +found[1] - 1]);
    }, 50);
}"""


def percentiles(values: list[float], unit: str, scale: float = 1.0) -> str:
    p50, p95 = np.percentile(np.array(values) * scale, [50, 95])
    return f"p50 {p50:.3g} {unit}, p95 {p95:.3g} {unit}"


def write_steadily(folder: str, times: Any, num_structures: int = 300) -> None:
    """A step every 5 ms, with a row, scores and norms; `times` gets the wall clock of each."""
    ids = tuple(range(num_structures))
    vector = np.random.default_rng(0).random(num_structures)
    with Writer(Run(Path(folder))) as writer:
        writer.describe(total_steps=len(times), warmup_steps=len(times), projection_steps=0)
        for step in range(len(times)):
            if writer.request == "cancel":
                return
            writer.scores(step, ids, vector) if step % 20 == 0 else None
            times[step] = time.time()
            writer.step(StepRecord(step, 0, "warm-up", 1.0, 0.5, 0.05))
            time.sleep(STEP_S)


def lists_and_opens(folder: Path) -> None:
    """20 runs of 100,000 steps."""
    store = Store(folder)
    settings = RunSettings.of(network=NetworkSource("demonet"))
    first = store.create(settings)
    with Writer(first) as writer:
        writer.describe(total_steps=NUM_STEPS, warmup_steps=10_000, projection_steps=20_000)
        for step in range(NUM_STEPS):
            if step % 400 == 0:
                writer.scores(step, range(300), np.ones(300))
            writer.step(StepRecord(step, 0, "training", 1.0 / (step + 1), 0.5, 0.05))
        writer.finish("cancelled")
    for _ in range(NUM_RUNS - 1):
        copied = store.create(settings)
        for name in ("run.db", "end.json", "pid.json"):
            shutil.copy(first.folder / name, copied.folder / name)
    before = psutil.Process().memory_info().rss
    listed, opened = [], []
    for _ in range(9):
        start = time.perf_counter()
        summaries = store.list()
        listed.append(time.perf_counter() - start)
    for summary in summaries:
        start = time.perf_counter()
        tail = store.open(summary.id).tail(every=NUM_STEPS // ROWS)
        opened.append(time.perf_counter() - start)
    assert len(summaries) == NUM_RUNS
    assert len(tail.steps) <= ROWS + 50
    grown = (psutil.Process().memory_info().rss - before) / 2**20
    print(f"list {NUM_RUNS} runs of {NUM_STEPS:,} steps: {percentiles(listed, 's')}")
    print(f"open one of them: {percentiles(opened, 's')}; the reader grew by {grown:.0f} MiB")


def checkpoints(folder: Path) -> None:
    """Saving, in steps of the run."""
    for name, shape in (("demonet", (1, 28, 28)), ("resnet18", (3, 32, 32))):
        settings = RunSettings.of(network=NetworkSource(name, input_shape=shape), epochs=1, device="cpu")
        session, run = open_session(settings), Store(folder).create(settings)
        steps = train(session)
        next(steps)
        start = time.perf_counter()
        for _ in range(3):
            next(steps)
        step_s, saves = (time.perf_counter() - start) / 3, []
        for _ in range(5):
            start = time.perf_counter()
            save(session, run.folder)
            saves.append(time.perf_counter() - start)
        size = (run.folder / "checkpoint.pt").stat().st_size / 2**20
        each, saved = settings.checkpoint_steps, float(np.median(saves))
        print(
            f"checkpoint of {name} ({size:.1f} MiB): {saved * 1e3:.0f} ms, {saved / step_s:.2f} of a step of"
            f" {step_s * 1e3:.0f} ms; every {each} steps that is {saved / step_s / each:.2%} of training"
        )


def polls(folder: Path) -> None:
    """One page's worth of polls, and twenty's, beside a writer."""
    run, _, writer = steady_run(folder, 6000)
    for label, pause_s in (("one page at 2 Hz", 0.5), ("twenty pages", 0.025)):
        waits, last, end = [], run.tail().last_step, time.monotonic() + 6
        while time.monotonic() < end:
            time.sleep(pause_s)
            start = time.perf_counter()
            tail, _ = run.tail(last), run.state
            waits.append(time.perf_counter() - start)
            last = tail.last_step
        print(f"poll, {label}: {percentiles(waits, 'ms', 1e3)}")
    cancel_run(run, wait_s=10)
    writer.join()


def steady_run(folder: Path, num_steps: int) -> tuple[Run, Any, Any]:
    context = multiprocessing.get_context("spawn")
    times = context.Array("d", num_steps, lock=False)
    run = Store(folder).create(RunSettings.of(network=NetworkSource("demonet")))
    writer = context.Process(target=write_steadily, args=(str(run.folder), times))
    writer.start()
    while run.tail().last_step < 0:
        time.sleep(0.05)
    return run, times, writer


def five_pages(folder: Path, seconds: float) -> None:
    """Five pages of real Chromium follow one run; how old is what they show?"""
    run, times, writer = steady_run(folder / "runs", 40_000)
    with Pages(folder, run) as pages:
        for page in pages.pages:  # the live view lives under a shadow root, which locators look through
            page.locator(".nasviz-live").evaluate(SAMPLE)
        time.sleep(seconds)
        ages = [
            at - times[step]
            for samples in pages.evaluate("() => window.ages")
            for at, step in samples
            if times[step]
        ]
        rss = psutil.Process(pages.server.process.pid).memory_info().rss / 2**20
    cancel_run(run, wait_s=10)
    writer.join()
    print(f"{NUM_PAGES} pages: the step on screen is {percentiles(ages, 's')} old; server {rss:.0f} MiB")


class Pages:
    """A server, and five pages that follow a run."""

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder, self.run = folder, run

    def __enter__(self) -> Pages:
        from playwright.sync_api import sync_playwright

        from tests.browser.conftest import settle, start_server

        self.server = start_server(self.folder)
        self.playwright = sync_playwright().start()
        self.browser = self.playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        self.pages: list[Page] = [self.browser.new_context().new_page() for _ in range(NUM_PAGES)]
        for page in self.pages:
            page.goto(self.server.url(f"Search_and_train?run={self.run.id}"))
        for page in self.pages:
            page.locator(".nasviz-live .said").filter(has_text="step").wait_for(timeout=120_000)
            settle(page)
        return self

    def evaluate(self, script: str) -> list[Any]:
        return [page.evaluate(script) for page in self.pages]

    def __exit__(self, *error: object) -> None:
        self.browser.close()
        self.playwright.stop()
        self.server.stop()


def slowdown(folder: Path, turns: int, seconds: float) -> None:
    """Steps a second of a real run, watched and unwatched in turn."""
    source = NetworkSource("demonet", input_shape=(1, 28, 28), settings={"width": 0.25})
    run = Store(folder / "runs").create(RunSettings.of(network=source, target_sparsity=3, epochs=10_000))
    start_run(run, {"OMP_NUM_THREADS": "1"})
    try:
        while run.tail().last_step < 20:
            time.sleep(0.2)
        readers(run, turns, seconds)
        watched_by_pages(folder, run, turns, seconds)
    finally:  # a worker outlives whoever started it
        cancel_run(run, wait_s=10)


def watched_by_pages(folder: Path, run: Run, turns: int, seconds: float) -> None:
    """Five pages of real Chromium, looking and looking away."""
    with Pages(folder, run) as pages:
        hidden = [page.url for page in pages.pages]

        def look() -> None:
            for page, url in zip(pages.pages, hidden, strict=True):
                page.goto(url)
                page.locator(".nasviz-live .said").filter(has_text="step").wait_for()

        def look_away() -> None:
            for page in pages.pages:
                page.goto("about:blank")

        in_turns(run, f"{NUM_PAGES} browser pages on the same cores", look, look_away, turns, seconds)


def readers(run: Run, turns: int, seconds: float) -> None:
    """Polls of five pages, without the pages."""
    watching: list[Any] = []

    def look() -> None:
        context = multiprocessing.get_context("spawn")
        watching.append(context.Process(target=poll_for_ever, args=(str(run.folder),), daemon=True))
        watching[0].start()
        time.sleep(3)

    def look_away() -> None:
        if watching:
            watching[0].kill()
            watching.pop().join()

    in_turns(run, f"the polls of {NUM_PAGES} pages", look, look_away, turns, seconds)
    look_away()


def poll_for_ever(folder: str) -> None:
    run, last = Run(Path(folder)), -1
    while True:
        last = run.tail(last).last_step
        _ = run.state
        time.sleep(0.5 / NUM_PAGES)


def in_turns(
    run: Run,
    label: str,
    look: Callable[[], None],
    look_away: Callable[[], None],
    turns: int,
    seconds: float,
) -> None:
    rates: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(2 * turns):
        is_watched = turn % 2 == 1
        (look if is_watched else look_away)()
        first, start = run.tail().last_step, time.perf_counter()
        time.sleep(seconds)
        rates[is_watched].append((run.tail(first).last_step - first) / (time.perf_counter() - start))
    look_away()
    ratio = np.median(np.array(rates[True]) / np.array(rates[False]))
    print(f"training watched by {label}: {ratio:.2f} of its speed unwatched (median of {turns} pairs)")


def main() -> None:
    """Print every measurement, or those that are asked for."""
    parts: dict[str, Callable[[Path, bool], None]] = {
        "lists": lambda folder, _: lists_and_opens(folder),
        "checkpoints": lambda folder, _: checkpoints(folder),
        "polls": lambda folder, _: polls(folder),
        "pages": lambda folder, is_quick: five_pages(folder, 10 if is_quick else 30),
        "slowdown": lambda folder, is_quick: slowdown(folder, 2 if is_quick else 5, 4 if is_quick else 8),
    }
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(parts)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="shorter turns")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    torch.set_num_threads(1)
    for name in asked.parts or parts:
        print(f"load of the machine before {name}: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        if name in ("pages", "slowdown") and CHROMIUM is None:
            print("no Chromium: nothing is known of pages")
            continue
        with tempfile.TemporaryDirectory() as folder:
            parts[name](Path(folder), asked.quick)


if __name__ == "__main__":
    main()
