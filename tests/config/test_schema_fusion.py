import pytest

from mplug.config.load import load_config
from mplug.config.schema import FusionConfig
from mplug.errors import ConfigError


def test_one_word_makes_another_scheme_of_a_recipe() -> None:
    plain = load_config("scenes-200").model
    other = load_config("scenes-200", ["model.fusion.scheme=co_attention"]).model
    assert plain.fusion.scheme == "skip"
    assert other == plain.model_copy(
        update={"fusion": plain.fusion.model_copy(update={"scheme": "co_attention"})}
    )


def test_a_configuration_without_a_scheme_is_skip_connected() -> None:
    old = {"num_layers": 3, "connected_at": [1]}
    assert FusionConfig.model_validate(old).scheme == "skip"


def test_an_unknown_scheme_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="asymmetric"):
        load_config("scenes-200", ["model.fusion.scheme=symmetric"])
