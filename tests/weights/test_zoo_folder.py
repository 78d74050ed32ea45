from pathlib import Path

import pytest
import torch

from mplug.config.recipes_zoo import MODELS
from mplug.errors import CheckpointError
from mplug.tasks.zoo_pretrain import make_model
from mplug.weights.store import load_pretrained
from mplug.weights.zoo_folder import load_zoo, save_zoo
from tests.tasks.zoo_batches import tiny, tokenizer
from tests.tiny import CARD


@pytest.mark.parametrize("name", ["visualbert", "lxmert", "simvlm"])
def test_a_model_with_shared_parts_is_the_same_when_read(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = make_model(tiny(MODELS[name]()))
    save_zoo(tmp_path, model, tokenizer=tokenizer(), card=CARD)
    loaded = load_zoo(tmp_path)
    assert loaded.model.config == model.config
    assert loaded.tokenizer == tokenizer()
    ours, read = dict(model.named_parameters()), dict(loaded.model.named_parameters())
    assert ours.keys() == read.keys()  # shared parts are named once
    assert all(torch.equal(ours[each], read[each]) for each in ours)


def test_another_system_says_what_it_is(tmp_path: Path) -> None:
    save_zoo(tmp_path, make_model(tiny(MODELS["vilt"]())), tokenizer=tokenizer(), card=CARD)
    with pytest.raises(CheckpointError, match="zoo"):
        load_pretrained(tmp_path)
