"""Learning rates: of the encoders, of the temperature, of the rest."""

from typing import Any

import pytest

from mplug.config.schema import OptimConfig
from mplug.tasks.groups import TEMPERATURE_RATE, parameter_groups
from mplug.training.task import Group
from tests.tasks import little


def groups(lr: float = 0.01, **rates: float | None) -> dict[str, Group]:
    task = little.pretraining()
    optim = OptimConfig.model_validate({"steps": 1, "batch_size": 1, "lr": lr, **rates})
    return {group.name: group for group in parameter_groups(task, model=task.model, optim=optim)}


def test_every_trained_parameter_is_in_one_group() -> None:
    task = little.pretraining()
    trained = [name for name, p in task.named_parameters() if p.requires_grad]
    names = [name for group in groups().values() for name, _ in group.parameters]
    assert sorted(names) == sorted(trained)
    assert [name for name, _ in groups()["temperature"].parameters] == ["model.temperature"]
    for name, part in (("vision", "model.vision."), ("text", "model.text_encoder.")):
        assert all(key.startswith(part) for key, _ in groups()[name].parameters)


@pytest.mark.parametrize("encoder", ["vision", "text"])
@pytest.mark.parametrize(("rate", "expected"), [(None, 0.01), (0.002, 0.002), (0.0, 0.0)])
def test_an_encoder_may_have_its_own_rate(
    encoder: str, rate: float | None, expected: float
) -> None:
    rates: dict[str, Any] = {f"{encoder}_lr": rate}
    found = groups(**rates)
    assert found[encoder].lr == expected
    assert found["rest"].lr == 0.01


@pytest.mark.parametrize("lr", [0.01, TEMPERATURE_RATE / 10])
def test_the_temperature_is_never_quick(lr: float) -> None:
    assert groups(lr=lr)["temperature"].lr == min(lr, TEMPERATURE_RATE)


def test_embeddings_and_positions_are_spared_decay() -> None:
    spared = groups()["rest"].undecayed
    assert "model.vision.positions" in spared
    assert {name.split(".")[1] for name in spared} == {"vision", "text_encoder", "decoder"}
    assert sum("words" in name for name in spared) == 2
