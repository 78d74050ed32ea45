import torch

from mplug.nn.masks import as_keys, causal_mask, join, prefix_mask

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


def test_what_is_written_sees_the_prefix_and_what_was_written_before() -> None:
    written = torch.tensor([[False, True, True, False]])
    assert prefix_mask(written).int().tolist() == [
        [
            [1, 0, 0, 1],  # a prefix place sees the prefix, also behind what is written
            [1, 1, 0, 1],
            [1, 1, 1, 1],
            [1, 0, 0, 1],
        ]
    ]


def test_all_written_is_causal_and_nothing_written_sees_all() -> None:
    everything = torch.ones(2, 5, dtype=torch.bool)
    causal = causal_mask(5, keys=5, device=everything.device)
    assert torch.equal(prefix_mask(everything), causal.expand(2, -1, -1))
    assert prefix_mask(~everything).all()
