"""CLIP, with either image encoder: features, logits and the contrastive loss."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from mplug.objectives.contrastive import contrastive
from mplug.weights.original_clip import import_clip
from tests.golden.compare import Tally, Tolerance
from tests.golden.reference import Entries

TOLERANCE = Tolerance(1e-12, 1e-12)


def entries(folder: Path) -> Entries:
    """Every expected name, and how the product makes it."""
    config = json.loads((folder / "config.json").read_text())
    model = import_clip(load_file(folder / "state_dict.safetensors"), config).model.double().eval()
    inputs = load_file(folder / "inputs.safetensors")
    ids = inputs["text"]
    mask = torch.arange(ids.shape[1]) <= ids.argmax(dim=1)[:, None]
    images, texts = model.encode_image(inputs["image"]), model.encode_text(ids, mask)
    logits = model.logits(images, texts)
    pairs = torch.eye(len(ids), dtype=logits.dtype)
    loss = contrastive(logits, logits.T, text_targets=pairs, image_targets=pairs)
    return {
        "image_features": lambda: images,
        "text_features": lambda: texts,
        "logits_per_image": lambda: logits,
        "logits_per_text": lambda: logits.T,
        "contrastive_loss": lambda: loss[None],
    }


def check_clip(folder: Path) -> dict[str, Tally]:
    """What became of every expected value of a set."""
    made, tally = entries(folder), Tally()
    for name, expected in load_file(folder / "expected.safetensors").items():
        if name in made:
            tally.compare(name, made[name](), expected, allowed=TOLERANCE)
        else:
            tally.failed(name, expected, problem="nothing reads it")
    return {"features": tally}
