"""mPLUG: an image encoder, a text encoder, a skip-connected fusion and a decoder.

Li et al., "mPLUG: Effective and Efficient Vision-Language Learning by Cross-modal
Skip-connections" (arXiv 2205.12005), section 3.
"""

from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mplug.config.schema import MPlugConfig
from mplug.models.decoder import TextDecoder
from mplug.models.fusion import fusion_network
from mplug.models.graphs import GraphedDecoder
from mplug.models.heads import (
    ClassHead,
    ClassPooling,
    LanguageModelHead,
    MaxPooling,
    VisualProjection,
)
from mplug.models.initial import NEW_WEIGHT_STD, initialise, spread
from mplug.models.text import TextEncoder
from mplug.models.vision import vision_encoder
from mplug.nn.fusion import FusionLayer
from mplug.nn.masks import join, rows_of
from mplug.nn.pair_fusion import MarkedImage, SecondImage

Image = Float[Tensor, "batch patches dim"]
Text = Float[Tensor, "batch words dim"]
Ids = Int[Tensor, "batch words"]
TextMask = Bool[Tensor, "batch words"]

VISUAL_PROJECTION_EPS = 1e-12  # the released model's, whatever the vision encoder's own is
# A convolution stem's features are near 1: beside them positions of 0.02 stay unheard, and a model
# that knows what is in a picture does not know where.
CONVOLVED_POSITION_STD = 0.3


class MPlug(nn.Module):
    """One model that embeds, matches, fills in and writes."""

    def __init__(self, config: MPlugConfig) -> None:
        super().__init__()
        self.config = config
        text, dim = config.text, config.text.hidden_size

        self.vision = vision_encoder(config.vision)
        self.visual_projection: nn.Module = nn.Identity()
        if config.vision.hidden_size != dim:
            self.visual_projection = VisualProjection(
                config.vision.hidden_size, dim=dim, eps=VISUAL_PROJECTION_EPS, dropout=text.dropout
            )
        self.text_encoder = TextEncoder(text)
        self.fusion = fusion_network(config.fusion, text)
        self.decoder = TextDecoder(text, config.decoder)

        self.pool = MaxPooling() if config.image_pooling == "max" else ClassPooling()
        self.image_projection = nn.Linear(dim, config.embed_dim)
        self.text_projection = nn.Linear(dim, config.embed_dim)
        self.temperature = nn.Parameter(torch.tensor(config.temperature))
        self.itm_head = nn.Linear(dim, 2)
        self.mlm_head = LanguageModelHead(dim, vocab_size=text.vocab_size, eps=text.layer_norm_eps)
        self._draw_weights()

        self.graphed: GraphedDecoder | None = None  # see `models.compiling.graph_decoding`
        self.second_image: SecondImage | MarkedImage | None = None
        self.compare_head: ClassHead | None = None
        self.entail_head: ClassHead | None = None
        self.add_parts()

    def add_parts(self) -> None:
        """New parts for those of the config's skills that still lack theirs.

        They come last, so that all else is the same for the same seed. To teach a model more, use
        `models.skills.with_skills`, which leaves the old one as it was.
        """
        dim = self.config.text.hidden_size
        if "compare" in self.config.skills and self.compare_head is None:
            self.second_image = self._new_second_image()
            self.compare_head = self._new_head(dim, classes=2)
        if "entail" in self.config.skills and self.entail_head is None:
            self.entail_head = self._new_head(dim, classes=3)

    def _new_second_image(self) -> SecondImage | MarkedImage:
        """An attention to it, or where all layers read both images at once, what marks it."""
        if self.config.fusion.scheme != "connected":
            return SecondImage(self.fusion)
        return MarkedImage(self.config.text.hidden_size).to(self.temperature)

    def _new_head(self, dim: int, *, classes: int) -> ClassHead:
        """With BERT's weights, where this model is."""
        return ClassHead(dim, classes=classes).apply(initialise).to(self.temperature)

    def _draw_weights(self) -> None:
        """New weights from torch's current seed."""
        text, vision = self.config.text, self.config.vision
        self.apply(initialise)
        for part in (self.text_encoder, self.fusion, self.decoder):
            part.apply(partial(spread, width=text.hidden_size))
        nn.init.normal_(self.vision.class_embedding, std=NEW_WEIGHT_STD)
        position_std = CONVOLVED_POSITION_STD if vision.stem == "convolution" else NEW_WEIGHT_STD
        nn.init.normal_(self.vision.positions, std=position_std)

    def encode_image(self, pixels: Float[Tensor, "batch 3 height width"]) -> Image:
        """The class token and the patches, at the text's width."""
        encoded: Tensor = self.visual_projection(self.vision(pixels))
        return encoded

    def encode_text(self, ids: Ids, mask: TextMask) -> Text:
        """States of `[CLS] words`."""
        encoded: Tensor = self.text_encoder(ids, mask)
        return encoded

    def fuse(
        self,
        text: Text,
        image: Float[Tensor, "images patches dim"],
        text_mask: TextMask,
        image_mask: Bool[Tensor, "images patches"] | None = None,
        *,
        places: Int[Tensor, "batch"] | None = None,
    ) -> tuple[Image, Text]:
        """Image and text after the fusion network; [image; text] is a decoder's memory.

        With `places`, text i meets image `places[i]`, and what is done to an image alone is done
        once, however many texts it meets.
        """
        for layer in self.fusion:
            text, image = layer(text, image, text_mask, image_mask, places)
            if places is not None and not layer.keeps_image:
                image_mask, places = rows_of(image_mask, places), None
        return (image if places is None else image[places]), text

    def fuse_text(
        self,
        text: Text,
        image: Float[Tensor, "images patches dim"],
        text_mask: TextMask,
        image_mask: Bool[Tensor, "images patches"] | None = None,
        *,
        places: Int[Tensor, "batch"] | None = None,
        first: int | None = None,
    ) -> Float[Tensor, "batch asked dim"]:
        """The text that `fuse` returns, without the work that only the image would need.

        With `first`, only so many of each text's first states: `match` and `entail` read one.
        """
        layers = [cast(FusionLayer, layer) for layer in self.fusion]
        for layer in layers[:-1]:
            text, image = layer(text, image, text_mask, image_mask, places)
            if places is not None and not layer.keeps_image:
                image_mask, places = rows_of(image_mask, places), None
        return layers[-1].text_only(text, image, text_mask, image_mask, places, first=first)

    def joint_memory(
        self,
        text: Text,
        image: Float[Tensor, "images patches dim"],
        text_mask: TextMask,
        image_mask: Bool[Tensor, "images patches"] | None = None,
        *,
        places: Int[Tensor, "batch"] | None = None,
    ) -> tuple[Float[Tensor, "batch keys dim"], Bool[Tensor, "batch keys"] | None]:
        """What a decoder reads to answer a text about an image: [image; text] fused, and its mask.

        `text` are `encode_text`'s states, `image` those of `encode_image`; for `places` see `fuse`.
        """
        lengths = (image.shape[1], text.shape[1])
        seen = image_mask if places is None else rows_of(image_mask, places)
        mask = join(seen, text_mask, lengths=lengths, batch=len(text), device=text.device)
        image, text = self.fuse(text, image, text_mask, image_mask, places=places)
        return torch.cat([image, text], dim=1), mask

    def image_embedding(self, image: Image) -> Float[Tensor, "batch embed"]:
        """Unit vectors in the space shared with texts."""
        return F.normalize(self.image_projection(self.pool(image)), dim=-1)

    def text_embedding(self, text: Text) -> Float[Tensor, "batch embed"]:
        """Unit vectors in the space shared with images, from each text's [CLS]."""
        return F.normalize(self.text_projection(text[:, 0]), dim=-1)

    def match(self, text: Text) -> Float[Tensor, "batch 2"]:
        """Whether fused text and image belong together: logits of no (0) and yes (1)."""
        logits: Tensor = self.itm_head(text[:, 0])
        return logits

    def compare(
        self, text: Text, first: Image, second: Image, text_mask: TextMask
    ) -> Float[Tensor, "batch 2"]:
        """Whether a statement holds of two images: logits of false (0) and true (1).

        Raises:
            ValueError: the config's skills do not name "compare".
        """
        if self.second_image is None or self.compare_head is None:
            raise ValueError(f'skills {self.config.skills} do not name "compare"')
        fused = self.second_image(self.fusion, text, first, second, text_mask)
        logits: Tensor = self.compare_head(fused)
        return logits

    def entail(self, text: Text) -> Float[Tensor, "batch 3"]:
        """Whether fused text and image contradict (0), leave it open (1) or entail (2): logits.

        Raises:
            ValueError: the config's skills do not name "entail".
        """
        if self.entail_head is None:
            raise ValueError(f'skills {self.config.skills} do not name "entail"')
        logits: Tensor = self.entail_head(text)
        return logits

    def masked_word_logits(
        self, text: Float[Tensor, "*places dim"]
    ) -> Float[Tensor, "*places vocab"]:
        """What stood at masked places of fused text; apply it only there."""
        logits: Tensor = self.mlm_head(text, self.text_encoder.embeddings.words.scoring_weight())
        return logits

    @property
    def writer(self) -> TextDecoder | GraphedDecoder:
        """The decoder as searches drive it, once it has learned."""
        return self.graphed or self.decoder

    def decode(
        self,
        ids: Ids,
        mask: TextMask | None,
        memory: Float[Tensor, "batch keys dim"],
        memory_mask: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch words vocab"]:
        """Logits of the word after each of `ids`."""
        logits: Tensor = self.decoder(ids, mask, memory, memory_mask)
        return logits
