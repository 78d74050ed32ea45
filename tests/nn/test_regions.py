import torch
from torch.testing import assert_close

from mplug.nn.regions import RegionEmbeddings, Regions, box_facts

DIM, FEATURES = 6, 5


def embeddings() -> RegionEmbeddings:
    torch.manual_seed(0)
    made = RegionEmbeddings(DIM, feature_size=FEATURES, eps=1e-12, dropout=0.5).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made


def test_a_box_has_sides_and_an_area() -> None:
    facts = box_facts(torch.tensor([[0.25, 0.5, 0.75, 0.75]]))
    assert facts.tolist() == [[0.25, 0.5, 0.75, 0.75, 0.5, 0.25, 0.125]]


def test_what_is_shown_and_where_it_lies_are_added_and_normalised() -> None:
    part = embeddings()
    regions = Regions(torch.randn(2, 3, FEATURES), torch.rand(2, 3, 4))
    shown = part.feature_norm(part.feature_linear(regions.features))
    placed = part.box_norm(part.box_linear(box_facts(regions.boxes)))
    assert_close(part(regions), part.norm(shown + placed + part.segment))
    other = torch.randn(DIM)
    assert_close(part(regions, segment=other), part.norm(shown + placed + other))


def test_a_hidden_region_shows_the_same_learned_thing() -> None:
    part = embeddings()
    boxes = torch.rand(1, 1, 4).expand(1, 3, 4)
    regions = Regions(torch.randn(1, 3, FEATURES), boxes)
    hidden = torch.tensor([[True, False, True]])
    embedded = part(regions, hidden=hidden)
    assert_close(embedded[0, 0], embedded[0, 2])
    learned = Regions(part.hidden_feature.expand(1, 3, -1), boxes)
    assert_close(embedded[0, 0], part(learned)[0, 0])
    assert_close(embedded[0, 1], part(regions)[0, 1])
