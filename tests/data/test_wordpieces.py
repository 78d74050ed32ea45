from mplug.data.wordpieces import learn_pieces


def test_the_most_frequent_neighbours_merge_first() -> None:
    words = {"low": 5, "lot": 3, "big": 2}
    pieces = learn_pieces(words, alone=set(), alphabet="", size=100)
    merges = [piece for piece in pieces if len(piece.removeprefix("##")) > 1]
    assert merges == ["lo", "low", "lot", "##ig", "big"]


def test_every_character_is_there_in_both_forms() -> None:
    pieces = learn_pieces({"ab": 1}, alone={"."}, alphabet=".x", size=100)
    assert sorted(pieces) == ["##a", "##b", "##x", ".", "a", "b", "x"]


def test_pieces_seen_once_are_not_learned() -> None:
    assert "ab" not in learn_pieces({"ab": 1}, alone=set(), alphabet="", size=100)


def test_ties_are_broken_by_spelling_not_by_order() -> None:
    one = learn_pieces({"ab": 2, "cd": 2}, alone=set(), alphabet="", size=9)
    other = learn_pieces({"cd": 2, "ab": 2}, alone=set(), alphabet="", size=9)
    assert one == other


def test_rare_characters_give_way_to_words_when_there_is_little_room() -> None:
    words = {"aa": 9, "bb": 5, "xy": 1}
    pieces = learn_pieces(words, alone=set(), alphabet="", size=8)
    assert pieces == ["a", "##a", "b", "##b", "aa", "bb"]


def test_a_repeated_letter_merges_from_the_left() -> None:
    pieces = learn_pieces({"aaaa": 4}, alone=set(), alphabet="", size=100)
    assert pieces == ["a", "##a", "##aa", "##aaa", "aaaa"]
