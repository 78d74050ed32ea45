import pytest

from mplug.interfaces.bench.networks import Network, networks


def by_name(num_layers: int) -> dict[str, Network]:
    return {network.name: network for network in networks(num_layers)}


def test_strides_have_the_places_of_the_paper_and_of_the_released_code() -> None:
    found = by_name(6)
    assert found["skip-connected, S = 3"].places == (3,)  # both rules agree
    assert found["skip-connected, S = 1 (paper)"].places == (1, 3, 5)
    assert found["skip-connected, S = 1 (released)"].places == (1, 2, 3, 4, 5)
    assert found["skip-connected, S = 2 (paper)"].places == (2, 5)
    assert found["skip-connected, S = 2 (released)"].places == (2, 4)
    assert found["skip-connected, S = 6"].places == ()
    assert found["connected attention"].places == (0, 1, 2, 3, 4, 5)


def test_what_the_others_are_compared_with_comes_first() -> None:
    names = [network.name for network in networks(6)]
    assert names[:4] == [
        "skip-connected, S = 3",
        "connected attention",
        "co-attention",
        "asymmetric",
    ]
    assert len(set(names)) == len(names) == 9


def test_every_stride_and_rule_is_a_row_once() -> None:
    named = [name for network in networks(6) for name in network.strides]
    assert sorted(named) == sorted(
        f"S = {stride}, {rule}" for stride in (1, 2, 3, 6) for rule in ("paper", "released")
    )


def test_strides_that_come_to_the_same_are_one_network() -> None:
    assert networks(3)[0].name == "skip-connected, S = 3, 6"


@pytest.mark.filterwarnings("error")
def test_the_papers_seconds_stand_beside_its_own_number_of_layers_only() -> None:
    assert by_name(6)["co-attention"].paper_seconds == 1.86
    assert by_name(6)["skip-connected, S = 2 (paper)"].paper_seconds == 1.03
    assert not any(network.paper_seconds for network in networks(4))
