"""Text and numbers in, scores out: numpy only, usable without a model.

The names below are the scorers; their modules hold the parts, and `signature` says of every figure
how it was made.
"""

from mplug.metrics.bleu import bleu
from mplug.metrics.bootstrap import interval, mean_parts
from mplug.metrics.caption_figures import Tokenised, caption_figures, jar_figures
from mplug.metrics.captions import CiderD, DocumentFrequency
from mplug.metrics.cider import cider_d
from mplug.metrics.classification import accuracy, confusion, consistency
from mplug.metrics.grounding import grounding_accuracy, iou
from mplug.metrics.objects import object_f1
from mplug.metrics.ptb import ptb_tokens
from mplug.metrics.retrieval import ground_truth, median_rank, recall, retrieval_scores
from mplug.metrics.rouge import rouge_l
from mplug.metrics.vqa import exact_accuracy, vqa_accuracy

__all__ = [
    "CiderD",
    "DocumentFrequency",
    "Tokenised",
    "accuracy",
    "bleu",
    "caption_figures",
    "cider_d",
    "confusion",
    "consistency",
    "exact_accuracy",
    "ground_truth",
    "grounding_accuracy",
    "interval",
    "iou",
    "jar_figures",
    "mean_parts",
    "median_rank",
    "object_f1",
    "ptb_tokens",
    "recall",
    "retrieval_scores",
    "rouge_l",
    "vqa_accuracy",
]
