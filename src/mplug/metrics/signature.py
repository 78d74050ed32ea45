"""Says exactly how a figure was computed, so that two figures can be compared or not."""

from dataclasses import dataclass, field

VERSION = 1  # raised whenever any metric here would give another number on the same input


@dataclass(frozen=True)
class Signature:
    """What a figure is made of; its text form is one line that fits beside the figure.

    `counts` are sizes (`images`, `queries`, ...). `settings` are choices (`tokeniser`,
    `ties`, `document_frequency`, ...), each naming a rule or a source.
    """

    metric: str
    split: str
    counts: dict[str, int]
    settings: dict[str, str] = field(default_factory=dict)
    version: int = VERSION

    def __str__(self) -> str:
        parts = {"version": self.version, "split": self.split, **self.counts, **self.settings}
        words = [f"{key}:{value}" for key, value in parts.items()]
        return "|".join([self.metric, *words])


def retrieval_signature(metric: str, *, split: str, images: int, texts: int) -> Signature:
    """The signature of a recall or a median rank from `mplug.metrics.retrieval`."""
    counts = {"images": images, "texts": texts}
    return Signature(metric, split, counts, {"ties": "expected"})


def cider_signature(
    *, split: str, images: int, references: int, tokeniser: str, document_frequency: str
) -> Signature:
    """The signature of a CIDEr-D; `document_frequency` names where the frequencies come from."""
    settings = {
        "tokeniser": tokeniser,
        "document_frequency": document_frequency,
        "n": "1-4",
        "sigma": "6",
    }
    return Signature("cider_d", split, {"images": images, "references": references}, settings)


def accuracy_signature(
    metric: str, *, split: str, counts: dict[str, int], settings: dict[str, str] | None = None
) -> Signature:
    """The signature of a share of right answers: video QA, NLVR2, entailment.

    `counts` names what was counted, such as `{"questions": 900}`.
    """
    return Signature(metric, split, counts, {"match": "exact", **(settings or {})})


def consistency_signature(*, split: str, pairs: int, statements: int) -> Signature:
    """The signature of NLVR2's consistency: statements right for all of their pairs."""
    counts = {"pairs": pairs, "statements": statements}
    settings = {"group": "split-set-sentence"}
    return accuracy_signature("consistency", split=split, counts=counts, settings=settings)


def grounding_signature(*, split: str, phrases: int, threshold: float = 0.5) -> Signature:
    """The signature of an accuracy from `mplug.metrics.grounding`."""
    settings = {"found": f"iou>={threshold}", "true_box": "best"}
    return Signature("grounding_accuracy", split, {"phrases": phrases}, settings)


def object_signature(metric: str, *, split: str, scenes: int, names: int) -> Signature:
    """The signature of an object precision, recall or F1 over a list of known names."""
    settings = {"average": "micro", "match": "longest_name"}
    return Signature(metric, split, {"scenes": scenes, "names": names}, settings)


def caption_signature(
    metric: str,
    *,
    split: str,
    images: int,
    references: int,
    tokeniser: str,
    settings: dict[str, str],
) -> Signature:
    """The signature of a caption metric; `settings` are the choices that are its own."""
    counts = {"images": images, "references": references}
    return Signature(metric, split, counts, {"tokeniser": tokeniser, **settings})


def vqa_signature(
    *, split: str, questions: int, answers: int, kind: dict[str, str] | None = None
) -> Signature:
    """The signature of an accuracy from `mplug.metrics.vqa`, over so many people's answers.

    `kind` says which questions alone were counted, such as `{"answer_type": "number"}`.
    """
    counts = {"questions": questions, "answers": answers}
    settings = {**(kind or {}), "normalisation": "vqa_v2", "score": "others/3"}
    return Signature("vqa_accuracy", split, counts, settings)
