"""What an objective is given: a model, a batch, and the step's random numbers."""

from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from mplug.config.schema_zoo import GridPart
from mplug.config.schema_zoo_run import JointObjectives
from mplug.data.joint_batch import JointBatch, PaddedPictures, PaddedText
from mplug.models.zoo.pair import PairModel
from mplug.models.zoo.view import Text, View
from mplug.models.zoo.writer import WriterModel
from mplug.nn.regions import Regions
from mplug.tasks.zoo_draws import ZooDraws
from mplug.tasks.zoo_hiding import Vocabulary

CELLS = 5  # a purpose of draws


@dataclass(frozen=True)
class Step:
    """One step's model and batch, and what decides what becomes of them."""

    model: PairModel | WriterModel
    batch: JointBatch
    settings: JointObjectives
    vocabulary: Vocabulary
    draws: ZooDraws

    @property
    def pair(self) -> PairModel:
        """The model, of which more is asked than writing."""
        assert isinstance(self.model, PairModel)
        return self.model

    def view(self, pictures: PaddedPictures) -> View:
        """Pictures as the model takes them."""
        shown = pictures.regions
        seen = None if shown is None else Regions(shown.features, shown.boxes, shown.mask)
        return View(seen, pictures.pixels, self._cells(len(self.batch)))

    def _cells(self, rows: int) -> Int[Tensor, "batch cells"] | None:
        """Places of a grid to be read, none twice, in their order; None for all."""
        image = self.model.config.image
        if not isinstance(image, GridPart) or not image.cells:
            return None
        drawn = self.draws.uniform(CELLS, rows, image.places)
        return drawn.topk(min(image.cells, image.places), dim=1).indices.sort(dim=1).values


def text_of(padded: PaddedText) -> Text:
    """Texts as the model takes them."""
    return Text(padded.ids, padded.mask)


def places_of(model: PairModel | WriterModel, *, words: int, regions: int) -> int:
    """The most places of two texts of so many words, of regions or of a grid, in any batch."""
    image = model.config.image
    places = image.places if isinstance(image, GridPart) else 0
    return max(2 * words, regions, places)
