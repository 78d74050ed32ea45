"""Encoders of others: read strictly, equal to what `transformers` computes, and started from."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.testing import assert_close

from mplug.config.schema import InitConfig, TextConfig
from mplug.data.tokenizer import Tokenizer
from mplug.errors import CheckpointError, ConfigError
from mplug.models.heads import LanguageModelHead
from mplug.models.mplug import MPlug
from mplug.models.text import TextEncoder
from mplug.models.vision import vision_encoder
from mplug.weights.keys import under_original_names
from mplug.weights.original_bert import encoder_table, head_table, import_bert
from mplug.weights.original_vit import HF_CLIP, HF_VIT, OPENAI, TIMM, import_vit, vision_table
from mplug.weights.starting import (
    read_text_tower,
    read_vision_tower,
    start_from_towers,
    start_vision,
)
from mplug.weights.towers import TextTower, VisionTower, save_tower
from tests.tiny import save_tiny, tiny_config, tiny_model, tiny_tokenizer

State = dict[str, Tensor]
LAYOUTS = {"openai": OPENAI, "transformers clip": HF_CLIP, "timm": TIMM, "transformers": HF_VIT}
BERT = {"num_attention_heads": 3, "hidden_dropout_prob": 0.0}


def bert_config(layers: int = 4) -> TextConfig:
    sizes = {"num_layers": layers, "max_positions": 19}
    return tiny_config().text.model_copy(update=sizes)


def bert_state(layers: int = 4) -> State:
    """A BERT in its own layout, with what else such files hold."""
    torch.manual_seed(1)
    config = bert_config(layers)
    state = under_original_names(TextEncoder(config).state_dict(), encoder_table(layers))
    dim, words = config.hidden_size, config.vocab_size
    head = LanguageModelHead(dim, vocab_size=words, eps=1e-12)
    torch.nn.init.normal_(head.bias)
    state |= under_original_names(head.state_dict(), head_table())
    state |= {
        "cls.predictions.decoder.weight": state["embeddings.word_embeddings.weight"],
        "cls.seq_relationship.weight": torch.zeros(2, dim),
        "pooler.dense.weight": torch.zeros(dim, dim),
        "embeddings.position_ids": torch.arange(19)[None],
    }
    return {f"bert.{key}" if key[:3] != "cls" else key: value for key, value in state.items()}


def bert_folder(folder: Path, *, layers: int = 4) -> Path:
    folder.mkdir()
    torch.save(bert_state(layers), folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(BERT | {"hidden_act": "gelu"}))
    tiny_tokenizer().save(folder)
    return folder


def vision_state(name: str, **sizes: Any) -> State:
    layout = LAYOUTS[name]
    torch.manual_seed(2)
    config = tiny_config().vision.model_copy(update={"kind": layout.kind, **sizes})
    encoder = vision_encoder(config)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    state = under_original_names(
        encoder.state_dict(), vision_table(layout, layers=config.num_layers)
    )
    if layout.kind == "plain":
        token, positions = layout.single["class_embedding"], layout.single["positions"]
        state |= {token: state[token][None, None], positions: state[positions][None]}
    return state


def test_every_parameter_of_a_bert_is_used_or_dropped_for_a_reason() -> None:
    tower = import_bert(bert_state(), BERT, tokenizer=tiny_tokenizer())
    assert tower.config.num_layers == 4
    assert tower.config.max_positions == 19
    assert tower.config.num_heads == 3
    assert set(tower.fate.dropped) == {
        "pooler.dense.weight",
        "cls.seq_relationship.weight",
        "cls.predictions.decoder.weight",
        "embeddings.position_ids",
        "embeddings.token_type_embeddings.weight[1:]",
    }
    words = bert_state()["bert.embeddings.word_embeddings.weight"]
    assert torch.equal(tower.tensors["embeddings.words.weight"], words)
    assert torch.equal(tower.tensors["head.bias"], bert_state()["cls.predictions.bias"])


def test_older_files_call_norms_gamma_and_beta() -> None:
    def older(key: str) -> str:
        key = key.replace("LayerNorm.weight", "LayerNorm.gamma")
        return key.replace("LayerNorm.bias", "LayerNorm.beta")

    made = import_bert({older(k): v for k, v in bert_state().items()}, BERT, tokenizer=None)
    expected = import_bert(bert_state(), BERT, tokenizer=None)
    assert_close(dict(made.tensors), dict(expected.tensors))


def test_a_bert_that_does_not_fit_is_refused_with_every_reason() -> None:
    bad = bert_state() | {"surprise": torch.zeros(1)}
    del bad["bert.encoder.layer.2.output.dense.bias"]
    bad["bert.embeddings.LayerNorm.bias"] = torch.zeros(5)
    with pytest.raises(CheckpointError) as caught:
        import_bert(bad, BERT, tokenizer=None)
    assert str(caught.value).splitlines()[1:] == [
        "  missing: encoder.layer.2.output.dense.bias",
        "  size: embeddings.LayerNorm.bias is [5], but embeddings.norm.bias is [12]",
        "  unexpected: surprise",
    ]


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({}, "how many attention heads"),
        (BERT | {"hidden_act": "relu"}, "hidden_act = 'relu', and only 'gelu'"),
        (BERT | {"position_embedding_type": "relative_key"}, "position_embedding_type"),
    ],
)
def test_what_the_encoder_cannot_do_is_refused(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(CheckpointError, match=problem):
        import_bert(bert_state(), config, tokenizer=None)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_of_a_vision_transformer_is_read(name: str) -> None:
    state = vision_state(name) | {f"{LAYOUTS[name].beginning}head.weight": torch.zeros(3)}
    if LAYOUTS[name] is not TIMM:
        with pytest.raises(CheckpointError, match="unexpected: .*head.weight"):
            import_vit(state, {"num_attention_heads": 5})
        state = vision_state(name)
    tower = import_vit(state, {"num_attention_heads": 5})
    assert tower.config == tiny_config().vision.model_copy(
        update={"kind": LAYOUTS[name].kind, "layer_norm_eps": LAYOUTS[name].eps}
    )
    encoder = vision_encoder(tower.config)
    encoder.load_state_dict(dict(tower.tensors))
    table = vision_table(LAYOUTS[name], layers=2)
    back = under_original_names(encoder.state_dict(), table)
    assert all(torch.equal(back[key], state[key].reshape(back[key].shape)) for key in back)


def test_pixels_normalised_otherwise_are_folded_into_the_patches() -> None:
    from mplug.data.transforms import MEAN, STD

    state, pixels = vision_state("timm"), torch.rand(2, 3, 24, 24)
    theirs = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.6, 0.5, 0.7]}
    plain = import_vit(state, {"num_attention_heads": 5})
    folded = import_vit(state, {"num_attention_heads": 5}, normalisation=theirs)
    assert "folded" in folded.fate.notes[-1]
    made = []
    mean, std = (torch.tensor(theirs[key])[:, None, None] for key in theirs)
    ours = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    for tower, (centre, spread) in ((plain, (mean, std)), (folded, ours)):
        encoder = vision_encoder(tower.config)
        encoder.load_state_dict(dict(tower.tensors))
        made.append(encoder((pixels - centre) / spread))
    assert_close(made[0], made[1], rtol=1e-4, atol=1e-5)


def test_towers_are_saved_and_read_again(tmp_path: Path) -> None:
    text = import_bert(bert_state(), BERT, tokenizer=tiny_tokenizer())
    vision = import_vit(vision_state("timm"), {"num_attention_heads": 5})
    again = read_text_tower(save_tower(tmp_path / "text", text))
    assert again.config == text.config
    assert again.tokenizer == tiny_tokenizer()
    assert_close(dict(again.tensors), dict(text.tensors))
    seen = read_vision_tower(save_tower(tmp_path / "vision", vision))
    assert seen.config == vision.config
    assert_close(dict(seen.tensors), dict(vision.tensors))
    with pytest.raises(CheckpointError, match="a text encoder, where one for vision is asked for"):
        read_vision_tower(tmp_path / "text")


def new_model() -> MPlug:
    torch.manual_seed(3)
    return MPlug(tiny_config()).eval()


def test_a_model_starts_from_every_layer_of_a_bert(tmp_path: Path) -> None:
    model, before = new_model(), new_model().state_dict()
    init = InitConfig(text=str(bert_folder(tmp_path / "bert")))
    [told] = start_from_towers(model, init, tokenizer=tiny_tokenizer())
    assert "new: image_projection, itm_head, temperature, text_projection" in told
    tensors, after = read_text_tower(tmp_path / "bert").tensors, model.state_dict()
    query = "self_attention.attention.query.weight"
    for ours, theirs in {
        "text_encoder.layers.0.": "layers.0.",  # its one layer is the lowest
        "fusion.0.": "layers.1.",  # its three are the last
        "fusion.1.": "layers.2.",
        "fusion.2.": "layers.3.",
        "decoder.layers.0.": "layers.0.",
        "decoder.layers.3.": "layers.3.",
    }.items():
        assert torch.equal(after[ours + query], tensors[theirs + query])
    for part in ("text_encoder", "decoder"):
        words = after[f"{part}.embeddings.words.weight"]
        assert torch.equal(words, tensors["embeddings.words.weight"])
        places = after[f"{part}.embeddings.positions.weight"]
        assert torch.equal(places, tensors["embeddings.positions.weight"][:17])
    assert torch.equal(after["mlm_head.bias"], tensors["head.bias"])
    cross = "fusion.0.cross_attention.attention.query.weight"
    assert torch.equal(after[cross], before[cross])


def test_a_bert_of_few_layers_leaves_fusion_new(tmp_path: Path) -> None:
    model, before = new_model(), new_model().state_dict()
    init = InitConfig(text=str(bert_folder(tmp_path / "bert", layers=3)))
    [told] = start_from_towers(model, init, tokenizer=tiny_tokenizer())
    assert "fusion 0 of" in told
    assert all(
        torch.equal(tensor, before[name])
        for name, tensor in model.state_dict().items()
        if name.startswith("fusion.") or ".3." in name
    )


def test_tokens_that_a_bert_does_not_know_start_anew() -> None:
    model, before = new_model(), new_model().state_dict()
    tower = import_bert(bert_state(), BERT, tokenizer=None)
    name = "embeddings.words.weight"
    fewer = TextTower(tower.config, {**tower.tensors, name: tower.tensors[name][:50]}, None)
    from mplug.weights.starting import start_text

    start_text(model, fewer, source="it")
    words = model.state_dict()[f"text_encoder.{name}"]
    assert torch.equal(words[:50], tower.tensors[name][:50])
    assert torch.equal(words[50:], before[f"text_encoder.{name}"][50:])


def test_other_sizes_are_refused_with_the_words_that_mend_it(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "bert")
    (folder / "config.json").write_text(json.dumps(BERT | {"num_attention_heads": 6}))
    with pytest.raises(ConfigError, match=r"to take its, add model\.text\.num_heads=6"):
        start_from_towers(new_model(), InitConfig(text=str(folder)), tokenizer=tiny_tokenizer())


def test_other_words_are_refused(tmp_path: Path) -> None:
    other = Tokenizer.train(["some other words"], vocab_size=700)
    folder = bert_folder(tmp_path / "bert")
    with pytest.raises(ConfigError, match="knows other words than data.tokenizer"):
        start_from_towers(new_model(), InitConfig(text=str(folder)), tokenizer=other)


def test_an_image_encoder_is_resized_to_the_runs_pictures() -> None:
    tower = import_vit(vision_state("openai", image_size=40), {"num_attention_heads": 5})
    model = new_model()
    [told] = start_vision(model, tower, source="it")
    assert "positions resized from 40 to 24 px" in told
    table = vision_table(OPENAI, layers=2)
    back = under_original_names(model.vision.state_dict(), table)
    name = "visual.transformer.resblocks.1.mlp.c_fc.weight"
    assert torch.equal(back[name], vision_state("openai", image_size=40)[name])


def test_another_kind_of_encoder_is_refused() -> None:
    tower = import_vit(vision_state("timm"), {"num_attention_heads": 5})
    with pytest.raises(ConfigError, match=r"add model\.vision\.kind=plain"):
        start_vision(new_model(), tower, source="it")


def test_a_saved_model_lends_either_encoder(tmp_path: Path) -> None:
    save_tiny(tmp_path / "run" / "model", seed=5)
    model, lender = new_model(), tiny_model(5)
    init = InitConfig(text=str(tmp_path / "run"), vision=str(tmp_path / "run" / "model"))
    start_from_towers(model, init, tokenizer=tiny_tokenizer())
    assert_close(model.vision.state_dict(), lender.vision.state_dict())
    assert_close(model.text_encoder.state_dict(), lender.text_encoder.state_dict())


def parity(tower: VisionTower, pixels: Tensor, expected: Tensor) -> None:
    encoder = vision_encoder(tower.config).eval()
    encoder.load_state_dict(dict(tower.tensors))
    assert_close(encoder(pixels), expected, rtol=1e-4, atol=1e-5)


@pytest.fixture
def transformers() -> Any:
    return pytest.importorskip("transformers")


@torch.no_grad()
def test_texts_are_encoded_as_transformers_does(transformers: Any, tmp_path: Path) -> None:
    torch.manual_seed(4)
    sizes = {
        "vocab_size": 700,
        "hidden_size": 12,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "intermediate_size": 28,
        "max_position_embeddings": 17,
        "initializer_range": 0.3,
    }
    theirs = transformers.BertModel(transformers.BertConfig(**sizes)).eval()
    theirs.save_pretrained(tmp_path)
    tower = read_text_tower(tmp_path)
    encoder = TextEncoder(tower.config).eval()
    encoder.load_state_dict(dict(tower.tensors))
    ids = torch.randint(700, (2, 9))
    mask = torch.arange(9) < torch.tensor([9, 6])[:, None]
    expected = theirs(ids, attention_mask=mask.long()).last_hidden_state
    assert_close(encoder(ids, mask)[mask], expected[mask], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_pictures_are_encoded_as_transformers_does(transformers: Any, tmp_path: Path) -> None:
    torch.manual_seed(5)
    sizes = {
        "image_size": 24,
        "patch_size": 8,
        "hidden_size": 20,
        "num_hidden_layers": 2,
        "num_attention_heads": 5,
        "intermediate_size": 36,
        "initializer_range": 0.3,
    }
    pixels = torch.randn(2, 3, 24, 24)
    plain = transformers.ViTModel(transformers.ViTConfig(**sizes)).eval()
    plain.save_pretrained(tmp_path / "vit")
    parity(read_vision_tower(tmp_path / "vit"), pixels, plain(pixels).last_hidden_state)

    clip = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**sizes)).eval()
    state = {key: value.contiguous() for key, value in clip.state_dict().items()}
    prefix = "" if any(key.startswith("vision_model.") for key in state) else "vision_model."
    (tmp_path / "clip").mkdir()
    save_file({prefix + k: v for k, v in state.items()}, tmp_path / "clip" / "model.safetensors")
    (tmp_path / "clip" / "config.json").write_text(json.dumps({"vision_config": sizes}))
    hidden = clip(pixels).last_hidden_state
    norm = dict(clip.named_modules())[f"{'vision_model.' if not prefix else ''}post_layernorm"]
    parity(read_vision_tower(tmp_path / "clip"), pixels, norm(hidden))
