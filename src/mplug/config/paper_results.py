"""Published figures, to stand beside one's own: the mPLUG paper's tables (arXiv 2205.12005 v2).

Values are as the tables print them, in percent; metrics have our names. Data sets and splits have
those of `mplug data convert`.
"""

from collections.abc import Mapping
from typing import NamedTuple

Values = Mapping[str, float]


class PaperTable(NamedTuple):
    """What a table of the paper says of one task on one split."""

    where: str
    task: str
    data: str
    split: str
    rows: Mapping[str, Values]  # by the model's name, the paper's own first


def published(task: str, *, data: str, split: str) -> PaperTable | None:
    """The paper's rows for a task on a split, where it has any."""
    return next(
        (each for each in TABLES if (each.task, each.data, each.split) == (task, data, split)),
        None,
    )


def _captions(bleu_4: float, meteor: float, cider_d: float, spice: float) -> Values:
    return {"bleu_4": bleu_4, "meteor": meteor, "cider_d": cider_d, "spice": spice}


def _recalls(image_to_text: tuple[float, ...], text_to_image: tuple[float, ...]) -> Values:
    """Recall at 1, 5 and 10 (or fewer) of both ways."""
    return {
        f"recall_at_{k}_{way}": value
        for way, values in (("image_to_text", image_to_text), ("text_to_image", text_to_image))
        for k, value in zip((1, 5, 10), values, strict=False)
    }


def _boxes(value: float) -> Values:
    return {"grounding_accuracy": value}


_CAPTIONS = (
    PaperTable(
        "Table 1",
        "caption",
        "coco-karpathy",
        "test",
        {
            "mPLUG, cross-entropy": _captions(43.1, 31.4, 141.0, 24.2),
            "mPLUG, CIDEr-optimised": _captions(46.5, 32.0, 155.1, 26.0),
            "SimVLM-large, cross-entropy": {"cider_d": 142.6},
            "LEMON-large": {"cider_d": 144.3},
            "BLIP": {"cider_d": 136.7},
            "OFA": {"cider_d": 149.6},
        },
    ),
    PaperTable(
        "Tables 1 and 7",
        "caption",
        "nocaps",
        "val",
        {
            "mPLUG, tuned on COCO": {"cider_d": 114.8, "spice": 14.8},
            "mPLUG, zero-shot": {"cider_d": 84.02},
            "SimVLM-huge": {"cider_d": 112.2},
        },
    ),
    PaperTable(
        "Tables 9 and 10", "caption", "vatex", "test", {"mPLUG, zero-shot": {"cider_d": 42.0}}
    ),
)

_ANSWERS = {  # test-dev, test-std
    "mPLUG-B, 4M": (77.94, 77.96),
    "mPLUG-B": (79.79, 79.81),
    "mPLUG-L": (81.27, 81.26),
    "UNITER": (72.70, 72.91),
    "ALBEF": (75.84, 76.04),
    "BLIP-129M": (78.25, 78.32),
    "METER": (77.68, 77.64),
    "SimVLM": (80.03, 80.34),
    "Florence": (80.16, 80.36),
    "OFA": (79.87, 80.02),
    "VLMo": (79.94, 79.98),
}
_QUESTIONS = (
    *(
        PaperTable(
            "Table 2",
            "answer",
            "vqav2",
            split,
            {model: {"vqa_accuracy": values[place]} for model, values in _ANSWERS.items()},
        )
        for place, split in enumerate(("testdev", "test"))
    ),
    *(
        PaperTable(
            "Tables 9 and 10",
            "answer",
            data,
            "qa-test",
            {"mPLUG, zero-shot": {"answer_accuracy": value}},
        )
        for data, value in (("msrvtt", 21.1), ("msvd", 37.2))
    ),
)

_SEARCH = (
    PaperTable(
        "Table 3",
        "retrieval",
        "coco-karpathy",
        "test",
        {
            "mPLUG": _recalls((82.8, 96.1, 98.3), (65.8, 87.3, 92.6)),
            "ALBEF-14M": _recalls((77.6,), (60.7,)),
            "BLIP-129M": _recalls((82.4,), (65.1,)),
        },
    ),
    PaperTable(
        "Tables 3 and 8",
        "retrieval",
        "flickr30k",
        "test",
        {
            "mPLUG": _recalls((97.6, 100.0, 100.0), (88.4, 97.9, 99.1)),
            "mPLUG, zero-shot": _recalls((93.0, 99.5), (82.2, 95.8)),
            "mPLUG, tuned on COCO": _recalls((95.8, 99.8), (86.4, 97.6)),
            "ALBEF-14M": _recalls((95.9,), (85.6,)),
            "BLIP-129M": _recalls((97.4,), (87.6,)),
        },
    ),
    PaperTable(
        "Tables 9 and 10",
        "retrieval",
        "msrvtt",
        "1k-A-test",
        {
            "mPLUG, zero-shot": {
                "recall_at_1_text_to_clip": 38.1,
                "recall_at_5_text_to_clip": 59.2,
                "recall_at_10_text_to_clip": 68.2,
            },
            "mPLUG, tuned on COCO": {
                "recall_at_1_text_to_clip": 44.3,
                "recall_at_5_text_to_clip": 66.4,
                "recall_at_10_text_to_clip": 75.4,
            },
        },
    ),
)

_PHRASES = {
    ("refcoco", "val-unc"): {"mPLUG": 92.40, "OFA": 90.05, "UNITER": 81.41},
    ("refcoco", "testA-unc"): {"mPLUG": 94.51, "OFA": 92.93, "UNITER": 87.04},
    ("refcoco", "testB-unc"): {"mPLUG": 88.42, "OFA": 85.26, "UNITER": 74.17},
    ("refcoco+", "val-unc"): {"mPLUG": 86.02, "OFA": 84.49, "UNITER": 75.90},
    ("refcoco+", "testA-unc"): {"mPLUG": 90.17, "OFA": 90.10, "UNITER": 81.45},
    ("refcoco+", "testB-unc"): {"mPLUG": 78.17, "OFA": 77.77, "UNITER": 66.70},
    ("refcocog", "val-umd"): {"mPLUG": 85.88, "OFA": 84.54, "UNITER": 74.86},
    ("refcocog", "test-umd"): {"mPLUG": 86.42, "OFA": 85.20, "UNITER": 75.77},
}
_GROUNDING = tuple(
    PaperTable(
        "Table 4", "ground", data, split, {model: _boxes(value) for model, value in rows.items()}
    )
    for (data, split), rows in _PHRASES.items()
)

_NLVR2 = {
    "dev": {
        "mPLUG": 84.58,
        "LXMERT": 74.90,
        "UNITER": 79.12,
        "ALBEF": 82.55,
        "METER": 82.33,
        "BLIP": 82.67,
        "SimVLM-large": 84.13,
        "VLMo": 85.64,
    },
    "test1": {
        "mPLUG": 84.95,
        "LXMERT": 74.50,
        "VL-T5": 73.6,
        "UNITER": 79.98,
        "ALBEF": 83.14,
        "METER": 83.05,
        "BLIP": 82.30,
        "SimVLM-large": 84.84,
        "VLMo": 86.86,
    },
}
_SNLI_VE = {
    "dev": {
        "mPLUG": 89.45,
        "UNITER": 79.39,
        "ALBEF": 80.80,
        "METER": 80.86,
        "SimVLM-large": 85.68,
        "OFA": 90.30,
    },
    "test": {
        "mPLUG": 89.29,
        "UNITER": 79.38,
        "ALBEF": 80.91,
        "METER": 81.19,
        "SimVLM-large": 85.62,
        "OFA": 90.20,
    },
}
_REASONING = tuple(
    PaperTable(
        "Table 5",
        task,
        data,
        split,
        {model: {f"{task}_accuracy": value} for model, value in rows.items()},
    )
    for task, data, splits in (("compare", "nlvr2", _NLVR2), ("entail", "snli-ve", _SNLI_VE))
    for split, rows in splits.items()
)

TABLES = (*_CAPTIONS, *_QUESTIONS, *_SEARCH, *_GROUNDING, *_REASONING)
