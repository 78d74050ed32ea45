"""Self-critical training: our step, a twin that differentiates through the search, the reward."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

import torch

from benchmarks import arithmetic, roof, systems
from benchmarks.harness import Bar, Rival, Topic, compare, run_alone
from mplug.config.schema import GenerationConfig, OptimConfig, SelfCriticalConfig
from mplug.data.items import ItemBatch, TaskBatch
from mplug.data.tokenizer import Tokenizer
from mplug.inference.beam_search import Beams, BeamSearch
from mplug.inference.generate import log_probabilities
from mplug.metrics.captions import DocumentFrequency
from mplug.metrics.ptb import ptb_tokens
from mplug.models.mplug import MPlug
from mplug.objectives.self_critical import mean_reward, self_critical
from mplug.tasks.part import joined
from mplug.tasks.self_critical import SelfCritical
from mplug.training.distributed import Processes
from mplug.training.memory import keep_freed_memory

HERE = "benchmarks.self_critical"
BATCH, SAMPLES, WORDS = 4, 5, 20
REFERENCES, REFERENCE_WORDS, KNOWN_IMAGES = 5, 11, 100
KINDS = 1000  # different words: captions use few of a vocabulary, over and over
LETTERS = str.maketrans("0123456789", "abcdefghij")
REWARDED_PICTURES = 20  # with `SAMPLES` captions each: the reward of 100 captions
Work = Callable[[], dict[str, float]]
Texts = tuple[tuple[str, ...], ...]


def word(number: int) -> str:
    """A number's own word: its digits as letters."""
    return str(number % KINDS).translate(LETTERS)


class Numbered(Tokenizer):
    """Words that are their numbers: as good as any to count n-grams with."""

    cls_id, sep_id, pad_id = systems.CLS, systems.END, 0

    def __init__(self) -> None:
        """It needs no vocabulary."""

    def decode(self, ids: Iterable[int]) -> str:
        """The words between the ends."""
        ends = (self.cls_id, self.sep_id, self.pad_id)
        return " ".join(word(number) for number in ids if number not in ends)


def written(generator: random.Random, *, pictures: int) -> Texts:
    """What people wrote of each picture."""
    return tuple(
        tuple(
            " ".join(word(generator.randrange(KINDS)) for _ in range(REFERENCE_WORDS))
            for _ in range(REFERENCES)
        )
        for _ in range(pictures)
    )


def learner(size: str) -> SelfCritical:
    """The task with captions forced to one length."""
    config = systems.config(size)
    torch.manual_seed(0)
    known = written(random.Random(0), pictures=KNOWN_IMAGES)
    return SelfCritical(
        MPlug(config),
        settings=SelfCriticalConfig(samples=SAMPLES, draw="beam", baseline="mean"),
        generation=GenerationConfig(beams=SAMPLES, min_tokens=WORDS, max_tokens=WORDS),
        tokenizer=Numbered(),
        frequency=DocumentFrequency.of([[ptb_tokens(t) for t in texts] for texts in known]),
        optim=OptimConfig(steps=1, batch_size=BATCH),
        seed=0,
        processes=Processes(),
        validation=list,
    ).train()


def pictures(size: str, *, batch: int, references: Texts) -> TaskBatch:
    """Random pictures of which captions are asked."""
    none = torch.zeros(batch, 0, dtype=torch.long)
    items = ItemBatch(
        images=torch.arange(batch)[:, None],
        text=none,
        text_mask=none.bool(),
        target_ids=none[:0],
        target_mask=none[:0].bool(),
        target_item=torch.zeros(0, dtype=torch.long),
        target_weight=torch.zeros(0),
        labels=torch.zeros(batch, dtype=torch.long),
        boxes=torch.zeros(batch, 4),
        references=references,
    )
    pixels = systems.pixels(size, images=batch)
    return TaskBatch(pixels, {"caption": items}, None, torch.zeros(0, dtype=torch.long))


def batches(size: str, *, batch: int) -> Iterator[TaskBatch]:
    """The same pictures with other references every time: rewards remember none of them."""
    for seed in count(1):
        references = written(random.Random(seed), pictures=batch)
        yield pictures(size, batch=batch, references=references)


def build_ours(*, size: str, batch: int) -> Work:
    """Forward and backward of a step, and the share of it that rewards take."""
    keep_freed_memory()
    task, given = learner(size), batches(size, batch=batch)
    plain, spent = task.rewards, [0.0]

    def timed(*arguments: Any) -> list[list[float]]:
        begun = time.perf_counter()
        found = plain(*arguments)
        spent[0] += time.perf_counter() - begun
        return found

    task.rewards = timed  # type: ignore[method-assign, assignment]
    gflop = _useful(size, batch=batch)

    def work() -> dict[str, float]:
        batch_now = next(given)
        spent[0], begun = 0.0, time.perf_counter()
        task.before_step(0)
        torch.autograd.backward(task(batch_now, 0).loss)
        task.zero_grad()
        share = spent[0] / (time.perf_counter() - begun)
        return {"gflop": gflop, "percent in rewards": 100 * share}

    return work


def _useful(size: str, *, batch: int) -> float:
    """Vision and the scoring pass three times, for a backward pass is two; the search once."""
    config, rows = systems.config(size), batch * SAMPLES
    tokens = arithmetic.image_tokens(config)
    scoring = arithmetic.memory(config, images=batch, tokens=tokens) + sum(
        arithmetic.words(config, rows=rows, behind=place, tokens=tokens) for place in range(WORDS)
    )
    search = arithmetic.captions(config, images=batch, beams=SAMPLES, written=WORDS)
    return search + 2 * arithmetic.vision(config, images=batch) + 3 * scoring


def build_twin(*, size: str, batch: int) -> Work:
    """The same step with the gradient through every step of a search without a cache."""
    task, given = learner(size), batches(size, batch=batch)

    def work() -> dict[str, float]:
        torch.autograd.backward(loss_through_search(task, next(given)))
        task.zero_grad()
        return {}

    return work


def loss_through_search(task: SelfCritical, batch: TaskBatch) -> torch.Tensor:
    """The loss of a step with `draw` beam and `baseline` mean; every text has all its words."""
    items, search = batch.items["caption"], BeamSearch(task.generation)
    memory = joined(task.model.encode_image(batch.pixels)[items.images])
    width, longest = task.generation.beams, task.generation.max_tokens
    prompt = torch.full((len(memory), 1), task.tokenizer.cls_id)
    beams = Beams.start(prompt, beams=width, dtype=memory.dtype)
    copies, end = memory.repeat_interleave(width, dim=0), task.tokenizer.sep_id
    for place in range(1, longest + 1):
        logits = task.model.decode(beams.ids.flatten(0, 1), None, copies)[:, -1]
        scores = log_probabilities(logits)
        beams, _ = search._advance(beams, scores, written=place, end_id=end)
    rewards = memory.new_tensor(task.rewards(beams.ids.tolist(), items.references))
    said = beams.totals / longest
    return self_critical(said, rewards, baseline=mean_reward(rewards)).loss


def build_reward(*, size: str) -> Work:
    """100 captions against five references each, from ids: all of them new every time."""
    task, given = learner(size), batches(size, batch=REWARDED_PICTURES)
    vocabulary = systems.config(size).text.vocab_size
    generator = random.Random(7)

    def work() -> dict[str, float]:
        items = next(given).items["caption"]
        said = [
            [
                [generator.randrange(systems.FIRST_WORD, vocabulary) for _ in range(WORDS)]
                for _ in range(SAMPLES)
            ]
            for _ in range(REWARDED_PICTURES)
        ]
        begun = time.perf_counter()
        task.rewards(said, items.references)
        return {"milliseconds": 1000 * (time.perf_counter() - begun)}

    return work


def topic(*, quick: bool) -> Topic:
    """A step against the twin, and the reward alone."""
    size, rounds = ("quick", 2) if quick else ("base", 5)
    part = BATCH if quick else 1  # the twin takes minutes: one picture of the batch, once
    step = compare(
        [
            Rival("mplug", HERE, "build_ours", {"size": size, "batch": BATCH}),
            Rival(
                "through the search",
                HERE,
                "build_twin",
                {"size": size, "batch": part},
                once=not quick,
                share=part / BATCH,
            ),
            *roof.rivals("fp32", quick=quick),
        ],
        rounds=rounds,
        threads=roof.THREADS,
        reference="through the search",
        title=f"A self-critical step, batch {BATCH}, {SAMPLES} captions of {WORDS} words each",
    )
    reward = compare(
        [Rival("reward", HERE, "build_reward", {"size": "quick"})],
        rounds=rounds,
        threads=roof.THREADS,
        reference="reward",
        title="The reward of 100 captions",
    )
    milliseconds = reward["reward"].counts["milliseconds"]
    return Topic(
        "self_critical",
        title="Self-critical training",
        about="Captions by beam search, their CIDEr-D, and one pass with gradient that scores "
        f"them; forward and backward without the update. The twin keeps the gradient through "
        "every step of a search without a cache, each beam its own copy of the image; it gives "
        f"the same loss. {'' if quick else 'It ran on one picture of the batch, once.'}",
        comparisons=[step, reward],
        bars=[
            Bar("self-critical step against the twin", step["mplug"].ratio, at_least=6),
            Bar(
                "self-critical step, share of rewards",
                step["mplug"].counts["percent in rewards"],
                at_most=3,
                unit="%",
            ),
            Bar("reward of 100 captions", milliseconds, at_most=25, unit="ms"),
        ],
    )


if __name__ == "__main__":
    run_alone(topic)
