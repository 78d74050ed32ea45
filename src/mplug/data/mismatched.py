"""Pictures with other pictures' captions: what a model learns from these, it guesses."""

from dataclasses import dataclass, replace

from mplug.data.batch import Example, Examples


@dataclass(frozen=True)
class MismatchedCaptions:
    """Every picture with the caption of the example after it; nothing else is changed.

    It shows that a run's verdict can tell: trained on these, objectives stay at their blind value.
    """

    examples: Examples[Example]

    def __len__(self) -> int:
        """As many as there are pictures."""
        return len(self.examples)

    def example(self, position: int, *, seed: int) -> Example:
        """The picture at `position` with the next caption."""
        picture = self.examples.example(position, seed=seed)
        caption = self.examples.example(position + 1, seed=seed)
        return replace(
            picture,
            ids=caption.ids,
            caption_id=caption.caption_id,
            skipped=(*picture.skipped, *caption.skipped),
        )
