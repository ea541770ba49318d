"""What recording costs a training step, and how long a reader waits: `python tests/bench/bench_logging.py`.

Budgets: recording under 2 % of a 5 ms step, a poll under 20 ms (95th percentile), a value on screen at most
1 s old. Trust the ratios: other work on the machine moves every number.
"""

from __future__ import annotations

import copy
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

import nasviz
from nasviz.catalog import NetworkSource
from nasviz.runs import Run, RunSettings, StepRecord, Store, Writer
from nasviz.train import open_session, train
from nasviz.train.recorder import Recorder, read_back

NUM_STRUCTURES = 300
STEP_S = 0.005
NUM_STEPS = 2000


def record(step: int) -> StepRecord:
    loss = torch.tensor(1.0 / (step + 1))
    return StepRecord(step, 0, "warm-up", loss, torch.tensor(0.5), 0.05, STEP_S, 1e4, 100.0, 0)


def cost_of_recording(run: Run) -> None:
    """Rows with scores, norms and cosines of 300 structures, one flush at 64 steps or a quarter second."""
    ids = tuple(range(NUM_STRUCTURES))
    vector = torch.rand(NUM_STRUCTURES)
    for label, with_vectors in (("row, scores, norms and cosines", True), ("row alone", False)):
        spent, computed = [], []
        with Writer(run, read_back=read_back) as writer:
            for step in range(NUM_STEPS):
                line, start, began = record(step), time.perf_counter(), time.process_time()
                if with_vectors:
                    writer.scores(step, ids, vector)
                    writer.norms(step, ids, vector)
                    writer.cosines(step, ids, vector)
                writer.step(line)
                _ = writer.request
                spent.append(time.perf_counter() - start)
                computed.append(time.process_time() - began)
        mean = float(np.mean(spent))
        share = f"{mean / STEP_S:.1%} of a {STEP_S * 1e3:g} ms step"
        own = f"{float(np.mean(computed)) * 1e3:.3f} ms of it the processor's own time"
        print(f"{label}: {mean * 1e3:.3f} ms per step, {share}; {own}")


def cost_in_training(store: Store) -> None:
    """DemoNet at full width: steps alone, and what watching them takes."""
    source = NetworkSource("demonet", input_shape=(1, 28, 28))
    settings = RunSettings.of(network=source, target_sparsity=3, epochs=1, device="cpu")
    session = open_session(settings)
    watched, lengths = [], []
    with Writer(store.create(settings), read_back=read_back) as writer:
        recorder = Recorder(session.optimizer, session.space, writer)
        start = time.perf_counter()
        for line in train(session):
            stepped = time.perf_counter()
            recorder.observe(line)
            now = time.perf_counter()
            lengths.append(stepped - start)
            watched.append(now - stepped)
            start = now
    step_ms, watch_ms = np.mean(lengths) * 1e3, np.mean(watched) * 1e3
    print(
        f"DemoNet, {len(lengths)} steps of {step_ms:.1f} ms: watching takes {watch_ms:.3f} ms a step,"
        f" {watch_ms / step_ms:.2%}"
    )


def cost_of_watching(store: Store) -> None:
    """A loop of the user's with steps of about 5 ms, watched and not, in turn: processor time of each."""
    net = nasviz.trace(*nasviz.zoo.create("demonet", input_shape=(1, 8, 8), width=0.25))
    space = nasviz.search_space(net)
    loops = []
    for _ in range(2):
        own = copy.deepcopy(net)
        phases = {"warmup_steps": NUM_STEPS, "projection_steps": 100}
        loops.append((own, nasviz.optim.create("h2spg", own, space, lr=0.01, target_sparsity=3, **phases)))
    recorder = nasviz.watch(loops[1][0], space, loops[1][1], runs=store.folder)
    x, labels = torch.randn(64, 1, 8, 8), torch.arange(64) % 10
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(NUM_STEPS):
        for number, (network, optimizer) in enumerate(loops):
            start = time.process_time()
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(x), labels)
            loss.backward()
            optimizer.step()
            if number:
                recorder.log(loss=loss, examples=64)
                _ = recorder.wants_stop
            spent[number].append(time.process_time() - start)
    recorder.stop()
    plain, watched = (float(np.mean(times)) for times in spent)
    cost = watched - plain
    print(
        f"watching a loop: {cost * 1e3:.3f} ms of processor time per step of {plain * 1e3:.2f} ms,"
        f" {cost / plain:.1%}; of a {STEP_S * 1e3:g} ms step {cost / STEP_S:.1%}"
    )


def write_steadily(folder: str) -> None:
    """A worker that makes a step every 5 ms and keeps the time of each in its row."""
    ids = tuple(range(NUM_STRUCTURES))
    vector = np.random.default_rng(0).random(NUM_STRUCTURES)
    with Writer(Run(Path(folder))) as writer:
        for step in range(10**6):
            if writer.request == "cancel":
                return
            writer.scores(step, ids, vector)
            now = time.time()
            writer.step(StepRecord(step, 0, "warm-up", now, 0.5, 0.05))
            time.sleep(STEP_S)


def cost_of_polling(run: Run) -> None:
    """A reader twice a second beside a writer, as a page does; then again with 20 readers' worth of polls."""
    writer = multiprocessing.get_context("spawn").Process(target=write_steadily, args=(str(run.folder),))
    writer.start()
    while not len(run.tail().steps):
        time.sleep(0.05)
    for label, pause_s in (("one page at 2 Hz", 0.5), ("twenty pages", 0.025)):
        waits, ages, last = [], [], run.tail().last_step
        end = time.monotonic() + 6
        while time.monotonic() < end:
            time.sleep(pause_s)
            start = time.perf_counter()
            tail, _ = run.tail(last), run.state
            waits.append(time.perf_counter() - start)
            last = tail.last_step
            if len(tail.steps):
                ages.append(time.time() - tail.steps.loss[-1] + pause_s)
        p50, p95 = np.percentile(waits, [50, 95]) * 1e3
        print(
            f"poll, {label}: p50 {p50:.1f} ms, p95 {p95:.1f} ms, worst {max(waits) * 1e3:.1f} ms; newest"
            f" value at most {np.percentile(ages, 95):.2f} s old when shown (p95)"
        )
    run.request("cancel")
    writer.join()


def main() -> None:
    """Print every measurement."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        settings = RunSettings.of(network=NetworkSource("demonet"))
        cost_of_recording(store.create(settings))
        cost_in_training(store)
        cost_of_watching(store)
        cost_of_polling(store.create(settings))


if __name__ == "__main__":
    main()
