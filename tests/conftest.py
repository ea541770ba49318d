"""What all tests share: one browser, no deadlines, and skips that hide nothing.

Where NASVIZ_NO_SKIP is set (CI installs all that is needed), a skip fails.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TESTS = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run"
).split()

# Tests, and the processes that they start, have a key of their own to mark runs with.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="nasviz-tests-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests side by side, and their children, share the cores
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


WARM = {"context", "live"}
"""Fixtures that fork workers from a server which has loaded torch once per process of pytest."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Retry browser tests once, and name the group of each test for `--dist loadgroup`.

    A browser test that fails is repeated and reported, because two cores carry server, children and Chromium.
    The tests of a group run in one process, so what they set up is set up once: one app and its warm
    children for all of tests/browser, one server that forks workers, and otherwise one group per file.
    """
    warm = {item.path for item in items if WARM & {*getattr(item, "fixturenames", ())}}
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(reruns=1))
        if item.path.parent.name == "browser":
            group = "browser"
        else:
            group = "workers" if item.path in warm else str(item.path.relative_to(TESTS))
        item.add_marker(pytest.mark.xdist_group(group))


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
