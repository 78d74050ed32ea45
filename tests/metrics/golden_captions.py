"""The official scorer's captions and scores, for tests that need real ones."""

import json
from pathlib import Path
from typing import Any

from mplug.metrics.caption_figures import Tokenised

_SCORES: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "golden" / "captions" / "scores.json").read_text(encoding="utf-8")
)
CAPTIONS = Tokenised.of(_SCORES["candidates"], _SCORES["references"])
OFFICIAL: dict[str, dict[str, Any]] = _SCORES["scores"]
