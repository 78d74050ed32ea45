import torch

from mplug.nn.masks import as_keys, causal_mask, join

CPU = torch.device("cpu")


def test_a_word_sees_itself_and_the_words_before() -> None:
    assert causal_mask(3, keys=3, device=CPU).tolist() == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_new_words_also_see_the_words_already_read() -> None:
    assert causal_mask(2, keys=4, device=CPU).tolist() == [
        [True, True, True, False],
        [True, True, True, True],
    ]


def test_padding_is_hidden_from_every_query_alike() -> None:
    mask = torch.tensor([[True, False], [True, True]])
    keys = as_keys(mask)
    assert keys is not None
    assert keys.tolist() == [[[True, False]], [[True, True]]]
    assert as_keys(None) is None


def test_a_sequence_without_a_mask_is_seen_whole() -> None:
    text = torch.tensor([[True, False, False]])
    joined = join(None, text, lengths=(2, 3), batch=1, device=CPU)
    assert joined is not None
    assert joined.tolist() == [[True, True, True, False, False]]
    assert join(None, None, lengths=(2, 3), batch=1, device=CPU) is None
