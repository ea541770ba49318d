"""Skips that hide nothing: where NASVIZ_NO_SKIP is set (CI installs all that is needed), a skip fails."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

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
