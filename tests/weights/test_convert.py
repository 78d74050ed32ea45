import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mplug.errors import CheckpointError
from mplug.weights.convert import import_original, read_original, to_original
from mplug.weights.original_mplug import key_table

SETS = Path(__file__).parents[1] / "golden" / "mplug"
State = dict[str, Tensor]


@pytest.fixture(params=["base", "large"])
def folder(request: pytest.FixtureRequest) -> Path:
    return SETS / str(request.param)


@pytest.fixture
def config(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return loaded


@pytest.fixture
def state(folder: Path) -> State:
    return load_file(folder / "state_dict.safetensors")


def first_layer(config: dict[str, Any]) -> int:
    return int(config["bert"]["num_hidden_layers"] - config["bert"]["fusion_layers"])


def without(state: State, *beginnings: str) -> State:
    return {key: value for key, value in state.items() if not key.startswith(beginnings)}


def test_sizes_are_read_off_the_weights(state: State, config: dict[str, Any]) -> None:
    made, bert = import_original(state, config).model.config, config["bert"]
    assert made.vision.image_size == config["image_res"]
    assert made.vision.patch_size == config["patch"]
    assert made.vision.hidden_size == config["vision_width"]
    assert made.vision.num_layers == config["vision_layers"]
    assert made.text.vocab_size == bert["vocab_size"]
    assert made.text.hidden_size == bert["hidden_size"]
    assert made.text.intermediate_size == bert["intermediate_size"]
    assert made.decoder.num_layers == bert["text_decode_layers"]
    assert made.embed_dim == config["embed_dim"]


def test_released_weights_choose_the_released_fusion(state: State, config: dict[str, Any]) -> None:
    fusion = import_original(state, config).model.config.fusion
    stride = config["bert"]["stride_layer"]
    assert fusion.connected_at == tuple(j for j in range(1, fusion.num_layers) if j % stride == 0)
    assert fusion.image_update == "add"


def test_a_stride_that_connects_nothing_is_warned_about(
    state: State, config: dict[str, Any]
) -> None:
    bert = config["bert"] | {"stride_layer": config["bert"]["fusion_layers"]}
    with pytest.warns(UserWarning, match="connects none"):
        made = import_original(state, config | {"bert": bert})
    assert made.model.config.fusion.connected_at == ()


def test_the_bert_configuration_alone_is_enough_where_heads_are_64_wide(
    state: State, config: dict[str, Any]
) -> None:
    narrow = {"vision_heads": config["vision_heads"]} | config["bert"]
    assert (
        import_original(state, narrow).model.config == import_original(state, config).model.config
    )


def test_every_key_is_used_or_dropped_for_a_reason(state: State, config: dict[str, Any]) -> None:
    made = import_original(state, config, momentum=True)
    table = key_table(made.model.config, first_fusion_layer=first_layer(config))
    online = {key for key in state if "_m." not in key and key not in made.dropped}
    used = {entry.theirs for entry in table if entry.ours not in made.new}
    queues = {"image_queue", "text_queue", "idx_queue", "queue_ptr"}
    assert online == used | queues
    assert all(made.dropped.values())


def test_only_parts_without_a_trace_are_new(state: State, config: dict[str, Any]) -> None:
    made = import_original(state, config)
    assert {name.split(".")[0] for name in made.new} == {"mlm_head"}
    fewer = import_original(without(state, "text_decoder", "itm_head", "temp"), config)
    parts = {name.split(".")[0] for name in fewer.new}
    assert parts == {"mlm_head", "decoder", "itm_head", "temperature"}


def test_the_table_names_every_parameter_once(state: State, config: dict[str, Any]) -> None:
    model = import_original(state, config).model
    table = key_table(model.config, first_fusion_layer=first_layer(config))
    assert sorted(entry.ours for entry in table) == sorted(model.state_dict())


def test_weights_go_back_to_where_they_came_from(state: State, config: dict[str, Any]) -> None:
    made = import_original(state, config)
    ours = {name: value for name, value in made.model.state_dict().items() if name not in made.new}
    back = to_original(ours, made.model.config, first_fusion_layer=first_layer(config))
    for key, value in back.items():
        rows = 1 if "token_type" in key else None
        assert torch.equal(value[:rows], state[key][:rows]) if value.dim() else value == state[key]
    assert not back["text_encoder.embeddings.token_type_embeddings.weight"][1:].any()


def test_half_an_original_tensor_is_refused(state: State, config: dict[str, Any]) -> None:
    model = import_original(state, config).model
    name = "vision.blocks.0.attention.query.weight"
    with pytest.raises(ValueError, match="is made of 3 parameters, not 1"):
        to_original({name: model.state_dict()[name]}, model.config, first_fusion_layer=1)
    with pytest.raises(ValueError, match="no parameters of this model: nonsense"):
        to_original({"nonsense": torch.zeros(1)}, model.config, first_fusion_layer=1)


def test_momentum_copies_become_a_frozen_teacher(state: State, config: dict[str, Any]) -> None:
    teacher = import_original(state, config, momentum=True).teacher
    assert teacher is not None
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    expected = state["vision_proj_m.weight"]
    assert torch.equal(teacher.image_projection.weight, expected)
    assert not hasattr(teacher, "itm_head")


def test_queues_lie_in_rows(state: State, config: dict[str, Any]) -> None:
    queues = import_original(state, config, momentum=True).queues
    assert queues is not None
    assert torch.equal(queues.images, state["image_queue"].T)
    assert torch.equal(queues.image_ids, state["idx_queue"][0])
    assert queues.pointer == state["queue_ptr"].item()


def test_momentum_is_dropped_unless_it_is_asked_for(state: State, config: dict[str, Any]) -> None:
    made = import_original(state, config)
    assert made.teacher is None
    assert made.queues is None
    assert made.dropped["image_queue"] == "a momentum copy or a queue, not asked for"


def test_grounding_keeps_only_the_first_text_layers(state: State, config: dict[str, Any]) -> None:
    made = import_original(state, config, text_layers=1)
    assert len(made.model.text_encoder.layers) == 1
    key = "text_encoder.encoder.layer.1.output.dense.weight"
    assert made.dropped[key] == "a text layer that was asked to be dropped"


def test_all_that_does_not_fit_is_listed(state: State, config: dict[str, Any]) -> None:
    bad = without(state, "text_encoder.encoder.layer.0.output.dense.bias", "vision_proj.weight")
    bad |= {"surprise": torch.zeros(1), "itm_head.bias": torch.zeros(3)}
    with pytest.raises(CheckpointError) as caught:
        import_original(bad, config)
    assert str(caught.value).splitlines()[1:] == [
        "  missing: text_encoder.encoder.layer.0.output.dense.bias",
        "  missing: vision_proj.weight",
        "  size: itm_head.bias is [3], but itm_head.bias is [2]",
        "  unexpected: surprise",
    ]


def test_a_copy_that_is_none_is_not_dropped_silently(state: State, config: dict[str, Any]) -> None:
    state["text_decoder.cls.predictions.decoder.bias"] += 1.0
    with pytest.raises(CheckpointError, match="decoder.bias differs from"):
        import_original(state, config)


def test_unknown_keys_can_be_ignored_by_name(state: State, config: dict[str, Any]) -> None:
    extra = state | {"text_encoder.pooler.dense.bias": torch.zeros(1)}
    with pytest.raises(CheckpointError, match="unexpected: text_encoder.pooler.dense.bias"):
        import_original(extra, config)
    made = import_original(extra, config, ignore=["text_encoder.pooler."])
    assert made.dropped["text_encoder.pooler.dense.bias"] == "ignored, as asked"


def test_pretraining_files_nest_their_keys_deeper(state: State, config: dict[str, Any]) -> None:
    def deeper(key: str) -> str:
        key = key.replace("text_encoder.", "text_encoder.bert.")
        return key.replace("fusion_encoder.", "fusion_encoder.fusion.")

    made = import_original({deeper(key): value for key, value in state.items()}, config).model
    plain = import_original(state, config)
    assert all(
        torch.equal(value, made.state_dict()[name])
        for name, value in plain.model.state_dict().items()
        if name not in plain.new
    )


@pytest.mark.parametrize("wrapper", ["model", "module"])
def test_weights_may_lie_inside_a_checkpoint(tmp_path: Path, wrapper: str) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save({wrapper: {"a": torch.ones(2)}, "epoch": 3}, path)
    assert list(read_original(path)) == ["a"]


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "weights.safetensors")
    assert torch.equal(read_original(tmp_path / "weights.safetensors")["a"], torch.ones(2))


class Stranger:
    """Something whose unpickling would run code."""


def test_a_file_that_could_run_code_is_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save({"model": {"a": torch.ones(2)}, "args": Stranger()}, path)
    with pytest.raises(CheckpointError, match="refused, nothing was run"):
        read_original(path)


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    for name in ("broken.safetensors", "broken.pth"):
        (tmp_path / name).write_bytes(b"not weights at all")
        with pytest.raises(CheckpointError, match=name):
            read_original(tmp_path / name)
    with pytest.raises(CheckpointError, match="there is no such file"):
        read_original(tmp_path / "absent.pth")
    with pytest.raises(CheckpointError, match="no state dict"):
        read_original({"model": [1, 2]})


def test_other_models_are_recognised_as_such(config: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="this is no original mPLUG checkpoint"):
        import_original({"layer.weight": torch.zeros(2)}, config)


def test_a_missing_hint_is_named(state: State, config: dict[str, Any]) -> None:
    del config["bert"]["stride_layer"]
    with pytest.raises(CheckpointError, match="no 'stride_layer'"):
        import_original(state, config)
