import pytest
import torch
from torch import nn

from mplug.nn.cost import count_parameters, multiply_adds, peak_bytes
from mplug.nn.fusion import skip_connected, uniform

CPU = torch.device("cpu")
DIM, HIDDEN, WORDS, PATCHES, LAYERS, BATCH = 12, 20, 5, 7, 6, 3
SIZES = {"dim": DIM, "num_heads": 3, "hidden_dim": HIDDEN, "eps": 1e-12, "dropout": 0.0}


def attention(queries: int, keys: int, dim: int) -> int:
    """Query and output of each query, key and value of each key, scores and their sums."""
    return 2 * queries * dim**2 + 2 * keys * dim**2 + 2 * queries * keys * dim


def connected(words: int, patches: int, dim: int, hidden: int) -> int:
    both = words + patches
    return attention(both, both, dim) + 2 * both * dim * hidden


def side(own: int, other: int, dim: int, hidden: int) -> int:
    return attention(own, own, dim) + attention(own, other, dim) + 2 * own * dim * hidden


def counted(
    layers: nn.ModuleList,
    *,
    device: str,
    dim: int,
    words: int,
    patches: int,
    learning: bool = False,
) -> int:
    text = torch.zeros(BATCH, words, dim, device=device)
    image = torch.zeros(BATCH, patches, dim, device=device)
    mask = torch.ones(BATCH, words, dtype=torch.bool, device=device)

    def work() -> None:
        states = text, image
        for layer in layers:
            states = layer(*states, mask, None)

    with torch.set_grad_enabled(learning):
        return multiply_adds(work)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("scheme", ["connected", "co_attention", "asymmetric"])
def test_multiply_adds_are_those_of_the_formula(scheme: str, device: str) -> None:
    layers = uniform(LAYERS, scheme=scheme, **SIZES).to(device)  # type: ignore[arg-type]
    expected = {
        "connected": connected(WORDS, PATCHES, DIM, HIDDEN),
        "asymmetric": side(WORDS, PATCHES, DIM, HIDDEN),
        "co_attention": side(WORDS, PATCHES, DIM, HIDDEN) + side(PATCHES, WORDS, DIM, HIDDEN),
    }[scheme]
    found = counted(layers, device=device, dim=DIM, words=WORDS, patches=PATCHES)
    assert found == BATCH * LAYERS * expected


@pytest.mark.parametrize(
    ("patches", "words", "learning", "ratios"),
    [
        (257, 40, True, (2.4, 3.2, 1.4)),
        (577, 25, True, (3.1, 4.0, 1.7)),
        # Few words read an image as it is where nothing learns: cheap layers are cheaper still.
        (577, 25, False, (3.9, 4.8, 2.4)),
    ],
)
def test_the_papers_network_saves_what_arithmetic_says(
    patches: int, words: int, learning: bool, ratios: tuple[float, float, float]
) -> None:
    sizes = {"dim": 768, "num_heads": 12, "hidden_dim": 3072, "eps": 1e-12, "dropout": 0.0}
    with torch.device("meta"):
        networks = {
            "skip": skip_connected(6, connected_at=(3,), add_image=False, **sizes),  # type: ignore[arg-type]
            **{
                scheme: uniform(6, scheme=scheme, **sizes)  # type: ignore[arg-type]
                for scheme in ("connected", "co_attention", "asymmetric")
            },
        }
    cost = {
        name: counted(
            layers, device="meta", dim=768, words=words, patches=patches, learning=learning
        )
        for name, layers in networks.items()
    }
    found = (
        cost["connected"] / cost["skip"],
        cost["co_attention"] / cost["skip"],
        cost["skip"] / cost["asymmetric"],
    )
    assert found == pytest.approx(ratios, abs=0.06)


def test_shared_parameters_count_once() -> None:
    layer = nn.Linear(5, 7)
    assert count_parameters(nn.ModuleList([layer, layer])) == 5 * 7 + 7


def test_the_peak_is_of_tensors_that_live_together() -> None:
    start = torch.zeros(100)

    def work() -> None:
        first = start + 1
        second = first + 1  # two live: 800 bytes
        del first
        second.add_(1)  # in place, and a view: nothing new
        second.view(10, 10)
        third = torch.cat([second, second])  # with second: 1200 bytes
        del second
        third.sum()

    assert peak_bytes(work, device=CPU) == 1200


def test_training_keeps_what_the_way_back_needs() -> None:
    layers = nn.Sequential(*(nn.Linear(16, 16) for _ in range(8)))
    given = torch.zeros(32, 16)

    def forward() -> None:
        with torch.no_grad():
            layers(given)

    def train() -> None:
        layers(given).sum().backward()

    one = 32 * 16 * 4
    assert peak_bytes(forward, device=CPU) == 2 * one
    assert peak_bytes(train, device=CPU) > 8 * one


def test_a_gradient_of_few_rows_counts_as_much_as_they_are() -> None:
    words = nn.Embedding(1000, 4, sparse=True)
    ids = torch.arange(10)

    def train() -> None:
        words(ids).sum().backward()

    rows, places = 10 * 4 * 4, 10 * 8
    assert rows + places <= peak_bytes(train, device=CPU) < 1000 * 4 * 4
