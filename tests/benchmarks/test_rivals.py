"""The rivals of the benchmarks do the same work: twins give what the fast way gives."""

import pytest

from benchmarks import answering, captioning, reranking
from benchmarks.systems import PRECISIONS


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_caption_has_the_forced_number_of_words(precision: str) -> None:
    ours = captioning.build_ours(size="quick", batch=2, precision=precision)()
    assert ours["words"] == captioning.WORDS
    assert ours["gflop"] > 0


def test_the_twin_without_a_cache_writes_as_many() -> None:
    assert captioning.build_twin(size="quick", batch=2)()["words"] == captioning.WORDS


def test_a_list_is_ranked_to_the_same_best_score_one_by_one() -> None:
    fast = answering.build_ranking(size="quick", answers=30, keep=None)()
    slow = answering.build_one_by_one(size="quick", answers=30, subset=30)()
    assert fast["best"] == pytest.approx(slow["best"], abs=1e-5)


def test_every_score_of_a_list_is_what_the_answer_scores_alone() -> None:
    found = answering.build_difference(size="quick", answers=800)()
    assert found["answers"] == 48 == 3 * answering.CHECKED  # of three that begin alike
    assert found["apart"] <= 1e-5


def test_the_list_has_answers_that_begin_alike() -> None:
    ids, mask = answering.answer_list("base", answers=answering.ANSWERS)
    assert ids.shape == (3128, 5)
    assert len(set(ids[:, 1].tolist())) == answering.FIRST_WORDS
    assert set(mask.sum(dim=1).tolist()) == {3, 4, 5}


@pytest.mark.parametrize(("images", "texts"), [(1, 32), (3, 5)])
def test_pairs_get_the_same_scores_by_the_twin(images: int, texts: int) -> None:
    sizes = {"images": images, "texts": texts}
    fast = reranking.build_ours(size="quick", precision="fp32", **sizes)()
    slow = reranking.build_per_pair(size="quick", **sizes)()
    assert fast["pairs"] == slow["pairs"] == images * texts
    assert fast["sum"] == pytest.approx(slow["sum"], abs=1e-4)
    assert reranking.build_difference(size="quick", **sizes)()["apart"] <= 1e-5
