from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.testing import assert_close

from mplug.errors import CheckpointError
from mplug.models.uniter import Uniter
from mplug.weights.original_uniter import (
    MASKS,
    REGION_PROJECTION,
    TYPES,
    WORDS,
    import_uniter,
    to_original_uniter,
)
from tests.models.small_uniter import ALL_SKILLS, ANSWERS, small_uniter

State = dict[str, Tensor]
CONFIG = {"num_attention_heads": 3, "hidden_dropout_prob": 0.5}
GOLDEN = Path(__file__).parents[1] / "golden" / "uniter"


@pytest.fixture(scope="module")
def model() -> Uniter:
    return small_uniter()


@pytest.fixture
def state(model: Uniter) -> State:
    return to_original_uniter(model.state_dict(), model.config)


def test_a_model_survives_the_way_out_and_back(model: Uniter, state: State) -> None:
    made = import_uniter(state, CONFIG)
    assert made.model.config == model.config
    assert made.new == ()
    assert_close(made.model.state_dict(), dict(model.state_dict()), atol=0.0, rtol=0.0)


def test_the_original_layout_comes_out_as_it_went_in() -> None:
    original = load_file(GOLDEN / "state_dict.safetensors")
    made = import_uniter(original, {"num_attention_heads": 4})
    back = to_original_uniter(made.model.state_dict(), made.model.config)
    assert_close(back, original, atol=0.0, rtol=0.0)
    assert sorted(made.dropped) == ["cls.predictions.decoder.weight", "feat_regress.weight"]


def test_old_names_and_wrappers_are_understood(model: Uniter, state: State) -> None:
    def old(key: str) -> str:
        if "LayerNorm" in key:
            key = key.replace(".weight", ".gamma").replace(".bias", ".beta")
        return f"module.{key}"

    made = import_uniter({old(key): value for key, value in state.items()}, CONFIG)
    assert_close(made.model.state_dict(), dict(model.state_dict()), atol=0.0, rtol=0.0)


def test_everything_that_does_not_fit_is_listed_at_once(state: State) -> None:
    del state["uniter.encoder.layer.1.output.dense.bias"]
    state["vqa_output.0.weight"] = torch.zeros(2, 2)
    state["uniter.img_embeddings.pos_linear.weight"] = torch.zeros(18, 5)
    state[TYPES] = state[TYPES][:1]
    with pytest.raises(CheckpointError) as refusal:
        import_uniter(state, CONFIG)
    assert str(refusal.value).splitlines()[1:] == [
        "  missing: uniter.encoder.layer.1.output.dense.bias",
        "  size: uniter.embeddings.token_type_embeddings.weight is [1, 18], but "
        "word_embeddings.segment is [18]",
        "  size: uniter.img_embeddings.pos_linear.weight is [18, 5], but "
        "region_embeddings.box_linear.weight is [18, 7]",
        "  unexpected: vqa_output.0.weight",
    ]


def test_a_fine_tuned_file_lacks_heads_and_brings_its_own(state: State) -> None:
    kept = {key: value for key, value in state.items() if key.startswith("uniter.")}
    kept["vqa_output.0.weight"] = torch.zeros(2, 2)
    kept[TYPES] = torch.cat([kept[TYPES], torch.ones(1, 18)])
    made = import_uniter(kept, CONFIG, ignore=["vqa_output."])
    assert made.dropped == {
        "vqa_output.0.weight": "ignored, as asked",
        f"{TYPES}[2:]": "segments that pretraining has no use for",
    }
    assert {name.split(".")[0] for name in made.new} == {
        "itm_head",
        "mlm_head",
        "feature_head",
        "class_head",
    }
    assert made.model.config.regions.classes == 1601


def test_part_of_a_head_is_no_head(state: State) -> None:
    del state["itm_output.bias"]
    with pytest.raises(CheckpointError, match="missing: itm_output.bias"):
        import_uniter(state, CONFIG)


@pytest.mark.parametrize("spoil", [lambda value: value + 1, lambda value: value[:, :-1]])
def test_a_copy_that_is_none_is_refused(state: State, spoil: Callable[[Tensor], Tensor]) -> None:
    for copy, original in (
        ("feat_regress.weight", REGION_PROJECTION),
        ("cls.predictions.decoder.weight", WORDS),
    ):
        with pytest.raises(CheckpointError, match=f"{copy} differs from {original}"):
            import_uniter(state | {copy: spoil(state[original])}, CONFIG)


def test_something_else_is_no_uniter() -> None:
    with pytest.raises(CheckpointError, match="no original UNITER checkpoint"):
        import_uniter({"visual.conv1.weight": torch.zeros(3)}, CONFIG)


def test_unmasked_regions_add_nothing(state: State) -> None:
    assert not state[MASKS][0].any()


def test_a_fine_tuned_head_of_ours_has_no_original_name() -> None:
    model = small_uniter(skills=ALL_SKILLS, answers=ANSWERS)
    with pytest.raises(ValueError, match=r"no parameters of this model: answer_head\."):
        to_original_uniter(model.state_dict(), model.config)
