"""The page as a browser lays it out: every picture shows, and nothing sticks out sideways."""

import html
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mplug.interfaces.report.page import page
from tests.interfaces.report.sample import report

pytestmark = pytest.mark.browser

QUIET = [
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# The page forbids scripts, so it is put into a frame and measured from outside.
MEASURE = """
<iframe srcdoc="{page}" style="border:0; width:{width}px; height:800px"></iframe>
<pre></pre>
<script>
  const frame = document.querySelector("iframe");
  frame.onload = () => {{
    const inner = frame.contentDocument, all = [...inner.querySelectorAll("body *")];
    const seen = all.filter(part => !part.closest(".aloud, .skip, pre, thead, svg"));
    document.querySelector("pre").textContent = JSON.stringify({{
      width: inner.documentElement.scrollWidth,
      outside: seen.filter(part => part.getBoundingClientRect().right > {width} + 1)
        .map(part => part.tagName + "." + part.className),
      broken: [...inner.images].filter(image => image.naturalWidth === 0).length,
      pictures: inner.images.length,
      clipped: [...inner.querySelectorAll("td, th, .value")]
        .filter(cell => !cell.closest("thead"))
        .filter(cell => cell.scrollWidth > cell.clientWidth + 1 && cell.clientWidth > 0)
        .map(cell => cell.textContent),
      background: getComputedStyle(inner.body).backgroundColor,
    }});
  }};
</script>
"""


def measure(chromium: str, folder: Path, *, width: int, dark: bool) -> dict[str, Any]:
    outer = folder / "outer.html"
    framed = html.escape(page(report()), quote=True)
    outer.write_text(MEASURE.format(page=framed, width=width), encoding="utf-8")
    flags = [*QUIET, f"--user-data-dir={folder / 'profile'}", "--window-size=1400,1000"]
    if os.geteuid() == 0:  # Chromium's sandbox refuses to start for root
        flags.append("--no-sandbox")
    if dark:
        flags.append("--blink-settings=preferredColorScheme=0")
    command = [chromium, *flags, "--virtual-time-budget=3000", "--dump-dom", outer.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"<pre>(\{.*\})</pre>", done.stdout)
    assert found, done.stdout[-500:]
    result: dict[str, Any] = json.loads(html.unescape(found[1]))
    return result


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_the_page_fits_its_window(chromium: str, tmp_path: Path, width: int, dark: bool) -> None:
    seen = measure(chromium, tmp_path, width=width, dark=dark)
    assert seen["pictures"] == page(report()).count("<img")
    assert seen["broken"] == 0
    assert seen["width"] <= width
    assert seen["outside"] == []
    assert seen["clipped"] == []
    assert seen["background"] == ("rgb(16, 21, 28)" if dark else "rgb(246, 247, 249)")
