"""Drives an installed Chromium, headless, with selenium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

DESKTOP, PHONE = (1400, 900), (390, 844)
LOW = 200  # pixels
SWITCHES = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


def missing() -> str:
    """Why there is no browser to drive; "" if there is one."""
    if find_spec("selenium") is None:
        return "selenium is not installed"
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)} (apt-get install chromium chromium-driver)" * (
        bool(absent)
    )


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser with an empty page; ended afterwards."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for switch in (*SWITCHES, "--hide-scrollbars"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


def look_like(driver: Any, size: tuple[int, int], scheme: str) -> None:
    """Pretend to be a window of that size, of somebody who likes "light" or "dark"."""
    _window(driver, *size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def only(driver: Any, sections: Sequence[str]) -> None:
    """Show those sections of the page alone; all of them for none."""
    driver.execute_script(
        "const shown = arguments[0];"
        "for (const each of document.querySelectorAll('main > .card, main > dl, .pair > .card'))"
        "  each.style.display = !shown.length || shown.some((s) => each.matches(s)) ? '' : 'none'",
        list(sections),
    )


def photograph(driver: Any, path: Path, *, width: int, most: int = 6000) -> None:
    """The whole page as a PNG file, from its top down to so many pixels at most."""
    _window(driver, width, LOW)  # so that the page is no higher than what is on it
    height = min(most, driver.execute_script("return document.documentElement.scrollHeight"))
    _window(driver, width, height)
    driver.save_screenshot(str(path))


def _window(driver: Any, width: int, height: int) -> None:
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
    )
