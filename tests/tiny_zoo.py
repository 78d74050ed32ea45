"""Random models of the field's, with the words of `tests/tiny.py`."""

from pathlib import Path

import torch

from mplug.config.recipes_zoo import MODELS, OBJECTIVES
from mplug.config.zoo import small
from mplug.tasks.zoo_pretrain import make_model
from mplug.weights.zoo_folder import ZooKnows, save_zoo
from tests.tiny import CARD, tiny_config, tiny_tokenizer


def save_tiny_zoo(folder: Path, name: str) -> Path:
    """One that looks at pixels, or at regions that `tests/tiny.py`'s random model describes."""
    torch.manual_seed(0)
    config = small(
        MODELS[name](),
        vocab_size=tiny_tokenizer().vocab_size,
        feature_size=tiny_config().vision.hidden_size,
        classes=5,
        answers=3,
    )
    knows = ZooKnows(
        learned=tuple(OBJECTIVES[name].chosen),
        encoder="mplug-tiny",
        answer_list=("a boat", "a moon", "red"),
    )
    model = make_model(config).eval()
    return save_zoo(folder, model, tokenizer=tiny_tokenizer(), card=CARD, knows=knows)
