"""Tests marked `browser` run wherever there is a Chromium, and fail for want of one if asked for.

Without a browser they are deselected, which pytest counts in its last line; what the page holds is
then still checked by test_page.py. `pytest -m browser` makes them compulsory.
"""

import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: looks at a page with a headless Chromium")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked_for = config.getoption("markexpr").strip() == "browser"
    if asked_for or _found():
        return
    dropped = [item for item in items if item.get_closest_marker("browser")]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in dropped]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium."""
    path = _found()
    if path is None:
        pytest.fail(f"no browser: install one of {', '.join(NAMES)} (apt-get install chromium)")
    return path


def _found() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)
