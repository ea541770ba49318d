"""What all tests share: one browser, no deadlines, and skips that hide nothing.

Where NASVIZ_NO_SKIP is set (CI installs all that is needed), a skip fails.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests.warm_python import forking

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SLOW = Path(__file__).with_name("slow.txt")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run"
).split()

# Tests, and the processes that they start, have a key of their own to mark runs with.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="nasviz-tests-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)
# The networks are so small that threads would only wait for one another, also in the processes of tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Two busy cores make any deadline a matter of luck.
settings.register_profile("nasviz", deadline=None)
settings.load_profile("nasviz")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()
    if os.environ.get("NASVIZ_NO_SKIP") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"


@pytest.fixture(autouse=True)
def own_main() -> Iterator[None]:
    """Streamlit leaves a tested script behind as `__main__`, which children of later tests would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(autouse=True)
def own_policy() -> Iterator[None]:
    """An app that a test runs restricts what its whole process may import: lift that after the test."""
    yield
    if (trust := sys.modules.get("nasviz.jobs.trust")) is not None:
        trust.trust_only(None)


@pytest.fixture(autouse=True)
def switches_of_torch() -> Iterator[None]:
    """Fail the test that leaves a switch of torch turned, since it would change the tests after it."""
    before = _switches()
    yield
    if before is not None:
        assert _switches() == before
        # Sessions choose algorithms for the rest of their process: here there are others after them.
        torch = sys.modules["torch"]
        torch.backends.cudnn.deterministic = torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(False)


def _switches() -> dict[str, Any] | None:
    if (torch := sys.modules.get("torch")) is None:
        return None
    return {
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "data type": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "threads": torch.get_num_threads(),
        "precision": torch.get_float32_matmul_precision(),
    }


def wait_until_served(url: str, process: subprocess.Popen[bytes], limit_s: float = 60) -> None:
    """Wait until the server of a process answers.

    Raises:
        TimeoutError: It ended, or did not answer in time.
    """
    end = time.monotonic() + limit_s
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"{url} did not answer within {limit_s} s, or its server ended")


GROUPS = {
    "browser": ("browser/",),
    "workers": (
        "extending/",
        "faults/test_bit_flips.py",
        "faults/test_circumstances.py",
        "faults/test_disk.py",
        "faults/test_exports_on_a_full_disk.py",
        "faults/test_hostile_weights.py",
        "faults/test_kills.py",
        "faults/test_private_files.py",
        "faults/test_trust.py",
        "train/test_change_over.py",
        "train/test_exact_resume.py",
        "train/test_processes.py",
    ),
    "nas": ("nas/",),
    "components": ("ui/component/",),
}
"""Tests that share what is expensive to set up, longest first: one app and its warm workers; one server with
torch loaded that workers are forked from (fixtures `context` and `live`); traced networks; one page of
components. Every other file is a group of its own."""


def group_of(nodeid: str) -> str:
    """Return the name of the tests that run in one process with this one."""
    path = nodeid.partition("::")[0].removeprefix("tests/")
    return next((group for group, parts in GROUPS.items() if path.startswith(parts)), path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a group in one process, so that what they share is set up once.

    `--dist loadgroup` of pytest-xdist 3.8 does the same by changing ids of tests, which pytest 9.2 ignores.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Grouped(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Grouped(config, log)


def require_listed(lines: Iterable[str], items: Sequence[pytest.Item]) -> None:
    """Require that each line of slow.txt is the beginning of an id, where its whole file was collected."""
    config = items[0].config if items else None
    if config is None or config.getoption("lf", False) or any("::" in name for name in config.args):
        return
    ids = [item.nodeid for item in items]
    files = {name.partition("::")[0] for name in ids}
    own = (line for line in lines if line.partition("::")[0] in files)
    if lost := [line for line in own if not any(name.startswith(line) for name in ids)]:
        raise pytest.UsageError(f"slow.txt names tests that do not exist: {', '.join(lost)}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest groups, mark what slow.txt lists, and retry browser tests once.

    A browser test that fails is repeated and reported, because two cores carry server, children and Chromium.
    """
    slow = tuple(line for line in SLOW.read_text().splitlines() if line and not line.startswith("#"))
    require_listed(slow, items)
    order = {group: place for place, group in enumerate(GROUPS)}
    items.sort(key=lambda item: order.get(group_of(item.nodeid), len(order)))
    for item in items:
        if item.nodeid.startswith(slow):
            item.add_marker(pytest.mark.slow)
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def context() -> Any:
    """Processes that are forked from a server which has loaded torch once."""
    return forking()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium; a process can drive only one."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install the package chromium to run the browser tests")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()
