"""Weights of the original ALBEF: every key used or dropped for a reason, and nothing guessed."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mplug.config.schema import FusionConfig, MPlugConfig
from mplug.errors import CheckpointError
from mplug.models.mplug import MPlug
from mplug.weights.keys import under_original_names
from mplug.weights.original_albef import import_albef, key_table
from tests.tiny import tiny_config

State = dict[str, Tensor]
HINTS = {"num_attention_heads": 4, "hidden_dropout_prob": 0.0}


def albef() -> MPlug:
    """As wide in both towers as ALBEF is, and with heads of 64 numbers where no file says."""
    tiny = tiny_config()
    text = tiny.text.model_copy(update={"hidden_size": 64, "num_heads": 4, "num_layers": 2})
    vision = tiny.vision.model_copy(
        update={"kind": "plain", "hidden_size": 64, "num_heads": 1, "layer_norm_eps": 1e-6}
    )
    fusion = FusionConfig(num_layers=3, connected_at=(), scheme="asymmetric")
    torch.manual_seed(0)
    sizes = {"text": text, "vision": vision, "fusion": fusion}
    return MPlug(MPlugConfig(**(tiny.model_dump() | {k: v.model_dump() for k, v in sizes.items()})))


def original(model: MPlug, *, decoder: bool = False) -> State:
    """A file as pretraining leaves it, or with the decoder of a fine-tuned one."""
    state = under_original_names(model.state_dict(), key_table(model.config))
    if not decoder:
        state = {key: value for key, value in state.items() if not key.startswith("text_decoder")}
    for key in ("visual_encoder.cls_token", "visual_encoder.pos_embed"):
        state[key] = state[key].reshape(1, -1, 64)
    words = state["text_encoder.embeddings.word_embeddings.weight"]
    state = {
        key.replace("text_encoder.", "text_encoder.bert.") if ".cls." not in key else key: value
        for key, value in state.items()
    }
    return state | {
        "text_encoder.cls.predictions.decoder.weight": words,
        "text_encoder.bert.embeddings.position_ids": torch.arange(17)[None],
        "visual_encoder_m.cls_token": torch.zeros(1, 1, 64),
        "image_queue": torch.zeros(7, 5),
        "text_queue": torch.zeros(7, 5),
        "queue_ptr": torch.zeros(1),
    }


@pytest.mark.parametrize("decoder", [False, True])
def test_every_key_is_used_or_dropped_for_a_reason(decoder: bool) -> None:
    model = albef()
    made = import_albef(original(model, decoder=decoder), HINTS)
    expected = model.config
    if not decoder:  # as many layers as the text encoder, for want of a decoder to count
        few = expected.decoder.model_copy(update={"num_layers": expected.text.num_layers})
        expected = expected.model_copy(update={"decoder": few})
    assert made.model.config == expected
    new = {name.split(".")[0] for name in made.new}
    assert new == (set() if decoder else {"decoder"})
    before, after = model.state_dict(), made.model.state_dict()
    assert all(torch.equal(after[k], before[k]) for k in after if k.split(".")[0] not in new)
    assert set(made.dropped) == {
        "text_encoder.cls.predictions.decoder.weight",
        "text_encoder.embeddings.position_ids",
        "visual_encoder_m.cls_token",
        "image_queue",
        "text_queue",
        "queue_ptr",
    }
    assert all(made.dropped.values())


def test_heads_that_no_configuration_gives_are_assumed_and_said() -> None:
    made = import_albef(original(albef()), {})
    assert made.model.config.text.num_heads == 1
    assert made.notes == ("assumed: 1 attention heads of 64 numbers",)


def test_all_that_does_not_fit_is_listed() -> None:
    bad = original(albef()) | {"surprise": torch.zeros(1), "itm_head.bias": torch.zeros(3)}
    del bad["text_encoder.bert.encoder.layer.3.crossattention.self.key.bias"]
    with pytest.raises(CheckpointError) as caught:
        import_albef(bad, HINTS)
    assert str(caught.value).splitlines()[1:] == [
        "  missing: text_encoder.encoder.layer.3.crossattention.self.key.bias",
        "  size: itm_head.bias is [3], but itm_head.bias is [2]",
        "  unexpected: surprise",
    ]
    made = import_albef(
        original(albef()) | {"cls_head.0.bias": torch.zeros(2)}, HINTS, ignore=["cls_head."]
    )
    assert made.dropped["cls_head.0.bias"] == "ignored, as asked"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"text_encoder.cls.predictions.decoder.weight": torch.zeros(2)},
            "whose copy it should be",
        ),
        ({"visual_encoder.patch_embed.proj.weight": torch.zeros(32, 3, 8, 8)}, "different widths"),
    ],
)
def test_what_cannot_be_kept_is_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(CheckpointError, match=problem):
        import_albef(original(albef()) | change, HINTS)


def test_other_models_are_recognised_as_such() -> None:
    with pytest.raises(CheckpointError, match="this is no original ALBEF checkpoint"):
        import_albef({"layer.weight": torch.zeros(2)}, HINTS)
