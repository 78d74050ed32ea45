"""SimVLM: a picture and a text's first words are read together, and a decoder writes the rest.

Wang et al., "SimVLM: Simple Visual Language Model Pretraining with Weak Supervision" (arXiv
2108.10904), section 3.
"""

from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mplug.config.schema import DecoderConfig
from mplug.config.schema_zoo import WriterConfig
from mplug.models.decoder import TextDecoder
from mplug.models.initial import initialise, spread
from mplug.models.single_stream import Segment, joint_mask, read_together
from mplug.models.text import word_embeddings
from mplug.models.zoo.bodies import PreNormStack
from mplug.models.zoo.choose import make_trunk
from mplug.models.zoo.inputs import PlacedGridInput
from mplug.models.zoo.view import Text, View
from mplug.nn.modified_resnet import ModifiedResNet


class Memory(NamedTuple):
    """What was read, and where there is something."""

    states: Float[Tensor, "batch places dim"]
    mask: Bool[Tensor, "batch places"] | None


class WriterModel(nn.Module):
    """An encoder over the picture's places and the words before, and the decoder that continues.

    Without a picture it is a language model with a prefix.
    """

    def __init__(self, config: WriterConfig) -> None:
        super().__init__()
        self.config = config
        text = config.text
        trunk: ModifiedResNet = make_trunk(config.image)
        self.words = word_embeddings(text)
        self.image = PlacedGridInput(text.hidden_size, trunk=trunk, places=config.image.places)
        self.encoder = PreNormStack(text)
        self.decoder = TextDecoder(text, DecoderConfig(num_layers=config.decoder_layers))
        self.decoder.embeddings = self.words  # both read and write the same words
        self.apply(initialise)
        self.apply(partial(spread, width=text.hidden_size))

    def read(self, prefix: Text, view: View | None = None) -> Memory:
        """What the decoder reads: the prefix and the picture after reading each other."""
        parts = [Segment(self.words(prefix.ids), prefix.mask)]
        if view is not None:
            parts.append(self.image(view))
        return Memory(torch.cat(read_together(self.encoder, *parts), dim=1), joint_mask(*parts))

    def write(
        self, text: Text, view: View | None = None, *, prefix: Text
    ) -> Float[Tensor, "batch words dim"]:
        """States that predict the word after each of `text`, which continues picture and prefix."""
        return self.decoder.states(text.ids, text.mask, *self.read(prefix, view))

    def word_logits(self, text: Float[Tensor, "*places dim"]) -> Float[Tensor, "*places vocab"]:
        """What comes next; apply it only where it is read."""
        return self.decoder.logits(text)
