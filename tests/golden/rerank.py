"""Evaluation of retrieval: similarities, the best of them reranked by matching, and recalls."""

import itertools
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mplug.metrics.retrieval import ground_truth, hits, ranks
from tests.golden.compare import AnyOf
from tests.golden.reference import Entries, Reference

UNRANKED = -100.0
PLACES = (1, 5, 10)


def entries(reference: Reference) -> Entries:
    """Section 6.5."""
    images, videos = Images(reference), Videos(reference)
    # The ground truth belongs to the data set: it is read here, and by the metrics below.
    owners = reference.expected.get("rerank.txt2img", [])
    return {
        "rerank.sims": lambda: images.similarity,
        "rerank.score_i2t": lambda: images.best("rerank.score_i2t").float(),
        "rerank.score_t2i": lambda: images.best("rerank.score_t2i").float(),
        "rerank.txt2img": lambda: (
            ground_truth(owners, images=len(images.similarity)).argmax(axis=0).tolist()
        ),
        "rerank.metrics": lambda: metrics(
            images.best("rerank.score_i2t"),
            images.best("rerank.score_t2i"),
            owners=owners,
            gallery="img",
        ),
        "video_rerank.score_v2t": lambda: videos.best("video_rerank.score_v2t"),
        "video_rerank.score_t2v": lambda: videos.best("video_rerank.score_t2v"),
        "video_rerank.metrics": lambda: metrics(
            videos.best("video_rerank.score_v2t"),
            videos.best("video_rerank.score_t2v"),
            owners=list(range(len(videos.similarity))),
            gallery="vid",
        ),
    }


class Images:
    """Images and the texts that are ranked for them."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.model = reference.model

    @cached_property
    def tokens(self) -> Tensor:
        """What a text is fused with."""
        return self.model.encode_image(self.reference.inputs["rerank_image"])

    @cached_property
    def vectors(self) -> Tensor:
        """What a text is compared with."""
        return self.model.image_embedding(self.tokens)

    @property
    def words(self) -> tuple[Tensor, Tensor]:
        """Ids and mask of the texts."""
        inputs = self.reference.inputs
        return inputs["rerank_text_ids"], inputs["rerank_text_mask"]

    @cached_property
    def texts(self) -> Tensor:
        """States of the texts."""
        return self.model.encode_text(*self.words)

    @cached_property
    def similarity(self) -> Tensor:
        """Cosines of every image and text."""
        return self.vectors @ self.model.text_embedding(self.texts).T

    @cached_property
    def scores(self) -> Tensor:
        """How well every image and text match."""
        rows, columns = self.similarity.shape
        image_rows = torch.arange(rows).repeat_interleave(columns)
        text_rows = torch.arange(columns).repeat(rows)
        fused = self.model.fuse_text(
            self.texts[text_rows], self.tokens[image_rows], self.words[1][text_rows]
        )
        return self.model.match(fused)[:, 1].reshape(rows, columns)

    def best(self, name: str) -> Tensor:
        """Scores of as many of the most similar items as the expected value has, row by row."""
        transposed = name[-3:] in ("t2i", "t2v")
        similarity = self.similarity.T if transposed else self.similarity
        scores = self.scores.T if transposed else self.scores
        kept = int((self.reference.expected[name][0] > UNRANKED).sum())
        chosen = similarity.topk(kept, dim=1).indices
        ranked = torch.zeros_like(similarity, dtype=torch.bool).scatter(1, chosen, True)
        return torch.where(ranked, scores, UNRANKED).detach()


class Videos(Images):
    """Videos: all frames' tokens are one long image, their mean vector is compared."""

    @cached_property
    def frames(self) -> Tensor:
        """Tokens of every frame by itself."""
        return self.model.encode_image(self.reference.inputs["rerank_video"].flatten(0, 1))

    @cached_property
    def tokens(self) -> Tensor:
        """The frames one behind the other."""
        return self.frames.reshape(
            len(self.reference.inputs["rerank_video"]), -1, self.frames.shape[2]
        )

    @cached_property
    def vectors(self) -> Tensor:
        """The mean of the frames' projections, at unit length."""
        projected = self.model.image_projection(self.model.pool(self.frames))
        videos = len(self.reference.inputs["rerank_video"])
        return F.normalize(projected.reshape(videos, -1, projected.shape[1]).mean(dim=1), dim=1)

    @property
    def words(self) -> tuple[Tensor, Tensor]:
        """The captions: the first texts, one for each video."""
        videos = len(self.reference.inputs["rerank_video"])
        ids, mask = super().words
        return ids[:videos], mask[:videos]

    @cached_property
    def scores(self) -> Tensor:
        """Matching and similarity added."""
        return super().scores + self.similarity


def metrics(
    by_item: Tensor, by_text: Tensor, *, owners: list[int], gallery: str
) -> dict[str, float | AnyOf]:
    """Recalls in percent; where tied items straddle a place, every value that some order gives."""
    right = ground_truth(owners, images=len(by_item))
    recalls = {
        "txt": [_recalls(by_item.numpy(), right, k=k) for k in PLACES],
        gallery: [_recalls(by_text.numpy(), right.T, k=k) for k in PLACES],
    }
    means = {
        side: {sum(choice) / len(PLACES) for choice in itertools.product(*values)}
        for side, values in recalls.items()
    }
    made: dict[str, float | AnyOf] = {
        f"{side}_r{k}": AnyOf(values)
        for side, sides in recalls.items()
        for k, values in zip(PLACES, sides, strict=True)
    }
    made |= {f"{side}_r_mean": AnyOf(values) for side, values in means.items()}
    both = itertools.product(*means.values())
    made["r_mean"] = AnyOf({sum(choice) / len(means) for choice in both})
    if gallery == "vid":
        made["vid_mdR"] = float(np.median(ranks(by_text.numpy(), right.T)))
    return made


def _recalls(scores: np.ndarray, right: np.ndarray, *, k: int) -> set[float]:
    """Every recall at `k` in percent that some order of tied items gives."""
    chances = hits(scores, right, k=k)
    sure, open_ = int((chances == 1).sum()), int(((chances > 0) & (chances < 1)).sum())
    return {100.0 * (sure + lucky) / len(chances) for lucky in range(open_ + 1)}
