"""A random UNITER that reads the regions that the random model of `tests/tiny.py` describes."""

import torch

from mplug.config.schema import TextConfig
from mplug.config.schema_uniter import RegionsConfig, UniterConfig, UniterSkill
from mplug.models.uniter import Uniter
from mplug.weights.uniter_folder import LoadedUniter
from tests.models.small import enliven
from tests.tiny import tiny_config, tiny_tokenizer

ANSWERS = ("a boat", "a moon", "red")
ALL: tuple[UniterSkill, ...] = ("answer", "retrieve", "compare", "ground", "entail")
WIDTH = tiny_config().vision.hidden_size


def tiny_uniter(encoder: str, *skills: UniterSkill) -> LoadedUniter:
    torch.manual_seed(0)
    model = Uniter(
        UniterConfig(
            text=TextConfig(
                vocab_size=tiny_tokenizer().vocab_size,
                hidden_size=18,
                num_layers=2,
                num_heads=3,
                intermediate_size=26,
                max_positions=31,
            ),
            regions=RegionsConfig(feature_size=WIDTH, classes=9),
            skills=skills,
            answers=len(ANSWERS),
        )
    ).eval()
    enliven(model, seed=0)
    return LoadedUniter(model, tiny_tokenizer(), ANSWERS, encoder)
