"""Answers: written over a fused memory against BLIP, and a list ranked against one by one."""

from collections.abc import Callable

import torch

from benchmarks import arithmetic, roof, systems
from benchmarks.harness import Bar, Comparison, Rival, Topic, compare, counted, run_alone
from mplug.config.schema import GenerationConfig
from mplug.inference.beam_search import BeamSearch
from mplug.inference.generate import generate
from mplug.inference.rank import Ranking, rank_answers
from mplug.models.mplug import MPlug
from mplug.objectives.answers import token_losses

HERE = "benchmarks.answering"
BATCH, BEAMS, WORDS, QUESTION = 4, 3, 6, 12
ANSWERS = 3128  # of the list that VQA models rank
KEPT = 128  # scored to their end, as `mplug.tasks.asker` asks for it
LENGTHS = (1, 1, 1, 1, 1, 2, 2, 3)  # words of an answer, in turn
FIRST_WORDS = 900  # different ones of the list: many answers begin alike
SUBSET = 64  # answers that the twin scores
CHECKED = 16  # first words whose answers are scored by both ways
Work = Callable[[], dict[str, float]]
Memory = tuple[torch.Tensor, torch.Tensor | None]
Answers = tuple[torch.Tensor, torch.Tensor]  # ids [answers, words] and their mask


def build_ours(*, size: str, precision: str) -> Work:
    """Pixels and questions to answers of equal length."""
    model, pixels = systems.ours(size, precision=precision), systems.pixels(size, images=BATCH)
    ids, mask = systems.texts(size, lengths=[QUESTION] * BATCH)
    search = BeamSearch(GenerationConfig(beams=BEAMS, min_tokens=WORDS, max_tokens=WORDS))
    prompt = torch.full((BATCH, 1), systems.CLS)
    gflop = _reading(size, images=BATCH) + arithmetic.writing(
        model.config,
        images=BATCH,
        beams=BEAMS,
        written=WORDS,
        tokens=arithmetic.image_tokens(model.config) + QUESTION,
    )

    def work() -> dict[str, float]:
        with torch.inference_mode():
            text = model.encode_text(ids, mask)
            memory = model.joint_memory(text, model.encode_image(pixels), mask)
            found = generate(
                model.decoder, *memory, prompt=prompt, end_id=systems.END, search=search
            )
        return {"gflop": gflop, "words": len(found[0][0].ids) - 1}

    return work


def _reading(size: str, *, images: int) -> float:
    """GFLOP of images, questions and their fusion, both kept for the decoder."""
    config, lengths = systems.config(size), [QUESTION] * images
    return (
        arithmetic.vision(config, images=images)
        + arithmetic.text_encoder(config, lengths=lengths)
        + arithmetic.fusion(config, lengths=lengths, images=images, with_image=True)
    )


def build_blip(*, size: str) -> Work:
    """The public call: its decoder reads the question's states alone."""
    model = systems.blip(size, kind="BlipForQuestionAnswering")
    pixels = systems.pixels(size, images=BATCH)
    ids, mask = systems.texts(size, lengths=[QUESTION] * BATCH)
    forced = {"num_beams": BEAMS, "min_new_tokens": WORDS, "max_new_tokens": WORDS}

    def work() -> dict[str, float]:
        with torch.inference_mode():
            found = model.generate(
                input_ids=ids, attention_mask=mask.long(), pixel_values=pixels, **forced
            )
        return {"words": found.shape[1] - 1}

    return work


def _memory(model: MPlug, size: str) -> Memory:
    """One image and one question, fused."""
    ids, mask = systems.texts(size, lengths=[QUESTION])
    with torch.inference_mode():
        image = model.encode_image(systems.pixels(size, images=1))
        return model.joint_memory(model.encode_text(ids, mask), image, mask)


def answer_list(size: str, *, answers: int) -> Answers:
    """Answers [CLS] words [END], padded: many share their first words, as a real list's do."""
    generator = torch.Generator().manual_seed(3)
    vocabulary = systems.config(size).text.vocab_size
    firsts = min(FIRST_WORDS, vocabulary - systems.FIRST_WORD)
    lengths = torch.tensor([LENGTHS[place % len(LENGTHS)] for place in range(answers)])
    ids = torch.randint(
        systems.FIRST_WORD, vocabulary, (answers, max(LENGTHS) + 2), generator=generator
    )
    ids[:, 0] = systems.CLS
    ids[:, 1] = systems.FIRST_WORD + torch.arange(answers) % firsts
    ids[torch.arange(answers), lengths + 1] = systems.END
    mask = torch.arange(ids.shape[1]) < (lengths + 2)[:, None]
    return ids.masked_fill(~mask, 0), mask


def build_ranking(*, size: str, answers: int, keep: int | None) -> Work:
    """Every answer of the list, from the fused memory of one question on."""
    model = systems.ours(size)
    memory, listed = _memory(model, size), answer_list(size, answers=answers)

    def work() -> dict[str, float]:
        found = _ranked(model, memory, listed, keep=keep)
        return {"answers": answers, "best": float(found.scores[0, 0])}

    return work


@torch.inference_mode()
def _ranked(model: MPlug, memory: Memory, listed: Answers, *, keep: int | None) -> Ranking:
    return rank_answers(
        model.decoder, *memory, answers=listed[0], answers_mask=listed[1], keep=keep
    )


@torch.inference_mode()
def _one_by_one(model: MPlug, memory: Memory, listed: Answers) -> torch.Tensor:
    """The log-probability of each answer."""
    scores = []
    for row, row_mask in zip(*listed, strict=True):
        words = row[row_mask][None]
        logits = model.decode(words[:, :-1], None, *memory)
        scores.append(-token_losses(logits, words[:, 1:]).sum())
    return torch.stack(scores)


def build_one_by_one(*, size: str, answers: int, subset: int) -> Work:
    """The same memory, each answer by a call of the decoder of its own."""
    model = systems.ours(size)
    memory, (ids, mask) = _memory(model, size), answer_list(size, answers=answers)
    listed = ids[:subset], mask[:subset]

    def work() -> dict[str, float]:
        return {"answers": subset, "best": float(_one_by_one(model, memory, listed).max())}

    return work


def build_difference(*, size: str, answers: int) -> Work:
    """The most that a score differs from the answer's alone, of answers of the list that share."""
    model = systems.ours(size)
    ids, mask = answer_list(size, answers=answers)
    sharing = ids[:, 1] < systems.FIRST_WORD + CHECKED  # few first words, each of several answers
    torch.manual_seed(0)
    plain = MPlug(systems.config(size)).eval()  # whose matrices take no other way either

    def work() -> dict[str, float]:
        listed = ids[sharing], mask[sharing]
        found = _ranked(model, _memory(model, size), listed, keep=None)
        ranked = found.scores[0, found.answers[0].argsort()]  # in the list's order
        alone = _one_by_one(plain, _memory(plain, size), listed)
        return {"apart": float((ranked - alone).abs().max()), "answers": len(ranked)}

    return work


def topic(*, quick: bool) -> Topic:
    """Writing in every precision, and ranking the list."""
    size, rounds = ("quick", 2) if quick else ("base", 5)
    told = ("fp32",) if quick else tuple(systems.PRECISIONS)
    rivals = [
        Rival("BLIP", HERE, "build_blip", {"size": size}),
        *(
            Rival(
                f"mplug {precision}",
                HERE,
                "build_ours",
                {"size": size, "precision": precision},
                once=not roof.has_hardware(precision),
            )
            for precision in told
        ),
        *roof.rivals(*(p for p in told if roof.has_hardware(p)), quick=quick),
    ]
    title = f"Answers written, batch {BATCH}, beam {BEAMS}, {WORDS} words, questions of {QUESTION}"
    written = compare(rivals, rounds=rounds, threads=roof.THREADS, reference="BLIP", title=title)
    ranked = _ranking(size, quick=quick)
    bars = [
        roof.binding(
            Bar(f"answers, {p}, against BLIP", written[f"mplug {p}"].ratio, at_least=least),
            precision=p,
        )
        for p, least in (("fp32", 1.0), ("bf16", 1.7))
        if p in told
    ]
    for keep, words in (("all", "every answer to its end"), ("128", f"{KEPT} to their end")):
        value = ranked[f"mplug, {keep} scored"].ratio
        work = f"ranking {ranked_answers(quick):,} answers, {words}, against one by one"
        bars.append(Bar(work, value, at_least=5, stretch=10))
    apart = largest_difference(size, quick=quick)
    bars.append(
        Bar(
            "ranking, the most that a score differs from the answer's alone",
            apart,
            at_most=1e-5,
            unit="",
        )
    )
    return Topic(
        "answering",
        title="Answers",
        about="Pixels and questions to ids at 256 px with random weights of equal sizes, every "
        f"answer forced to {WORDS} words. BLIP is `BlipForQuestionAnswering.generate`, whose "
        "decoder reads the question's 12 states; ours reads image and question, 269 states, after "
        "6 fusion layers. Ranking begins at the fused memory of one question; the twin runs the "
        f"decoder once for each answer, on {SUBSET} of them, and its time is scaled to the list.",
        comparisons=[written, ranked],
        bars=bars,
    )


def ranked_answers(quick: bool) -> int:
    """How long the list is."""
    return 200 if quick else ANSWERS


def scored_alone(quick: bool) -> int:
    """How many of its answers the twin scores."""
    return 20 if quick else SUBSET


def largest_difference(size: str, *, quick: bool) -> float:
    """Of the scores of answers that share their first words."""
    sizes = {"size": size, "answers": ranked_answers(quick)}
    asked = Rival("difference", HERE, "build_difference", sizes, once=True)
    return counted(asked, threads=roof.THREADS, title="Scores of answers by both ways")["apart"]


def _ranking(size: str, *, quick: bool) -> Comparison:
    answers, subset = ranked_answers(quick), scored_alone(quick)
    shared = {"size": size, "answers": answers}
    rivals = [
        Rival(
            "one by one",
            HERE,
            "build_one_by_one",
            shared | {"subset": subset},
            share=subset / answers,
        ),
        Rival("mplug, all scored", HERE, "build_ranking", shared | {"keep": None}),
        Rival("mplug, 128 scored", HERE, "build_ranking", shared | {"keep": KEPT}),
    ]
    title = f"{answers:,} answers ranked for one question"
    return compare(
        rivals,
        rounds=2 if quick else 3,
        threads=roof.THREADS,
        reference="one by one",
        title=title,
    )


if __name__ == "__main__":
    run_alone(topic)
