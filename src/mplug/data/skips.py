"""Counts the pictures that training had to skip, names each once, and stops when there are many."""

import logging

from mplug.data.batch import Skipped
from mplug.errors import DataError

NAMED_IN_ERROR = 10

logger = logging.getLogger(__name__)


class Skips:
    """The broken pictures met so far, as a share of the items of the dataset."""

    def __init__(self, total: int, *, max_bad_share: float) -> None:
        self.total = total
        self.max_bad_share = max_bad_share
        self.items: dict[int, Skipped] = {}
        self._names: set[str] = set()

    @property
    def share(self) -> float:
        """Distinct items skipped, of all items."""
        return len(self.items) / self.total

    def add(self, skipped: tuple[Skipped, ...]) -> None:
        """Note the skips of one batch; each file is named on the log the first time only.

        Raises:
            DataError: more than `max_bad_share` of the items were skipped by now.
        """
        for skip in skipped:
            self.items.setdefault(skip.item, skip)
            if skip.name not in self._names:
                self._names.add(skip.name)
                logger.warning("skipped %s: %s", skip.name, skip.reason)
        if skipped and self.share > self.max_bad_share:
            raise DataError(self._message())

    def _message(self) -> str:
        reasons = {skip.name: skip.reason for skip in self.items.values()}
        lines = [f"  {name}: {reason}" for name, reason in list(reasons.items())[:NAMED_IN_ERROR]]
        if len(reasons) > NAMED_IN_ERROR:
            lines.append(f"  ... and {len(reasons) - NAMED_IN_ERROR} more")
        return "\n".join(
            [
                f"{len(self.items)} of {self.total} training items have a picture that cannot be "
                f"used ({self.share:.2%}; data.max_bad_share allows {self.max_bad_share:.2%}):",
                *lines,
                "repair or remove them (`mplug data check FILE` lists all), "
                "or raise data.max_bad_share",
            ]
        )
