"""VisualBERT, LXMERT and ViLT give what `transformers` gives, with the same random weights."""

import logging
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mplug.config import zoo
from mplug.config.schema_zoo import CrossBody, PairConfig, PatchesPart
from mplug.models.zoo.pair import PairModel
from mplug.models.zoo.view import Text, View
from mplug.nn.regions import Regions
from tests.models.small import enliven
from tests.models.zoo import transformers_keys as keys

transformers = pytest.importorskip("transformers")
logging.getLogger("transformers").setLevel(logging.ERROR)

VOCAB, WIDTH, HEADS, HIDDEN, POSITIONS, FEATURES = 31, 12, 3, 20, 17, 7
CLASSES, ANSWERS = 6, 9
SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": WIDTH,
    "num_attention_heads": HEADS,
    "intermediate_size": HIDDEN,
    "max_position_embeddings": POSITIONS,
}
IDS = torch.randint(5, VOCAB, (2, 6), generator=torch.Generator().manual_seed(1))
MASK = torch.arange(6) < torch.tensor([6, 4])[:, None]


def regions() -> Regions:
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(2, 5, FEATURES, generator=generator, dtype=torch.float64)
    boxes = torch.rand(2, 5, 4, generator=generator, dtype=torch.float64)
    return Regions(features, boxes, torch.arange(5) < torch.tensor([3, 5])[:, None])


def ours(config: PairConfig, table: keys.Table, theirs: Any, *, layers: int) -> PairModel:
    sizes = {
        "vocab_size": VOCAB,
        "hidden_size": WIDTH,
        "num_layers": layers,
        "num_heads": HEADS,
        "intermediate_size": HIDDEN,
        "max_positions": POSITIONS,
    }
    text = config.text.model_copy(update=sizes)
    model = PairModel(config.model_copy(update={"text": text})).double().eval()
    weights = keys.converted(table, theirs.state_dict())
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected
    assert all(name.startswith("heads.itm") for name in missing)
    return model


def lively(model: Any) -> Any:
    model = model.double().eval()
    enliven(model)
    return model


def in_order(states: Tensor) -> Tensor:
    """The rows of each picture, sorted by their first number."""
    order = states[..., :1].argsort(dim=1)
    return states.gather(1, order.expand_as(states))


@torch.no_grad()
def test_visualbert() -> None:
    theirs = lively(
        transformers.VisualBertForPreTraining(
            transformers.VisualBertConfig(
                **SIZES, num_hidden_layers=2, visual_embedding_dim=FEATURES
            )
        )
    )
    config = zoo.visualbert()
    image = config.image.model_copy(update={"feature_size": FEATURES})
    config = config.model_copy(update={"image": image})
    model = ours(config, keys.visualbert(2), theirs, layers=2)
    seen = regions()
    assert seen.mask is not None
    joint = model.encode(Text(IDS, MASK), View(seen))
    expected = theirs(
        input_ids=IDS,
        attention_mask=MASK.long(),
        visual_embeds=seen.features,
        visual_attention_mask=seen.mask.long(),
        output_hidden_states=True,
    )
    last = expected.hidden_states[-1]
    assert_close(joint.text[MASK], last[:, :6][MASK])
    assert_close(joint.regions[seen.mask], last[:, 6:][seen.mask])
    assert_close(model.word_logits(joint.text)[MASK], expected.prediction_logits[:, :6][MASK])
    assert_close(model.match(joint), expected.seq_relationship_logits)


@torch.no_grad()
def test_lxmert() -> None:
    theirs = lively(
        transformers.LxmertForPreTraining(
            transformers.LxmertConfig(
                **SIZES,
                l_layers=3,
                r_layers=1,
                x_layers=2,
                visual_feat_dim=FEATURES,
                num_qa_labels=ANSWERS,
                num_object_labels=CLASSES,
            )
        )
    )
    config = zoo.lxmert()
    image = config.image.model_copy(update={"feature_size": FEATURES, "classes": CLASSES})
    body = CrossBody(image_layers=1, cross_layers=2)
    config = config.model_copy(update={"image": image, "body": body, "answers": ANSWERS})
    model = ours(config, keys.lxmert(3, 1, 2), theirs, layers=3)
    seen = regions()
    assert seen.mask is not None
    joint = model.encode(Text(IDS, MASK), View(seen))
    given = {
        "input_ids": IDS,
        "attention_mask": MASK.long(),
        "visual_feats": seen.features,
        "visual_pos": seen.boxes,
        "visual_attention_mask": seen.mask.long(),
    }
    states = theirs.lxmert(**given)
    assert_close(joint.text[MASK], states.language_output[MASK])
    assert_close(joint.regions[seen.mask], states.vision_output[seen.mask])
    expected = theirs(**given)
    assert_close(model.word_logits(joint.text)[MASK], expected.prediction_logits[MASK])
    assert_close(model.match(joint), expected.cross_relationship_score)
    assert_close(model.answer(joint), expected.question_answering_score)
    recalled = theirs.obj_predict_head(states.vision_output)
    assert_close(model.hidden_class_logits(joint.regions)[seen.mask], recalled["obj"][seen.mask])
    assert_close(model.hidden_features(joint.regions)[seen.mask], recalled["feat"][seen.mask])


@torch.no_grad()
def test_vilt() -> None:
    theirs = lively(
        transformers.ViltForMaskedLM(
            transformers.ViltConfig(**SIZES, num_hidden_layers=2, image_size=24, patch_size=8)
        )
    )
    config = zoo.vilt().model_copy(update={"image": PatchesPart(image_size=24, patch_size=8)})
    model = ours(config, keys.vilt(2), theirs, layers=2)
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randn(2, 3, 24, 24, generator=generator, dtype=torch.float64)
    joint = model.encode(Text(IDS, MASK), View(pixels=pixels))
    given = {"input_ids": IDS, "attention_mask": MASK.long(), "pixel_values": pixels}
    states = theirs.vilt(**given)
    assert_close(joint.text[MASK], states.last_hidden_state[:, :6][MASK])
    # The other shuffles patches, whose positions were added before.
    assert_close(in_order(joint.image), in_order(states.last_hidden_state[:, 6:]))
    assert_close(model.pool(joint.text, joint.image), states.pooler_output)
    assert_close(model.word_logits(joint.text)[MASK], theirs(**given).logits[:, :6][MASK])
