"""The released beam search, for every task that writes."""

import re
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mplug.config.schema import GenerationConfig
from mplug.inference.generate import generate
from mplug.inference.released_beam import ReleasedBeamSearch
from mplug.models.mplug import MPlug
from tests.golden.reference import END, START, Entries, Reference, with_video
from tests.golden.vqa import question_memory

NAME = re.compile(r"(vqa|caption|videocap)\.(generate|generate_prompt)\.(beam\w+)$")


def entries(reference: Reference) -> Entries:
    """Section 7."""
    made: Entries = {}
    for name in reference.expected:
        if found := NAME.match(name):
            task, start, setting = found.groups()
            prompted = start == "generate_prompt" or task == "videocap"
            made[name] = partial(_written, reference, task, setting=setting, prompted=prompted)
    return made


def released(
    reference: Reference,
    model: MPlug,
    memory: Tensor,
    mask: Tensor | None,
    *,
    setting: str,
    prompted: bool = False,
) -> dict[str, Any]:
    """Ids and scores of the released search at a setting named `beam5_min1_max12_nbest3`."""
    beams, shortest, longest, best = (int(number) for number in re.findall(r"\d+", setting))
    prompt = reference.inputs["prompt_ids"] if prompted else torch.tensor([START])
    texts = generate(
        model.decoder,
        memory,
        mask,
        prompt=prompt.expand(len(memory), -1),
        end_id=END,
        search=ReleasedBeamSearch(
            GenerationConfig(beams=beams, min_tokens=shortest, max_tokens=longest)
        ),
        best=best,
    )
    return {
        "ids": [[text.ids for text in image] for image in texts],
        "scores": [[text.score for text in image] for image in texts],
    }


def _written(reference: Reference, task: str, *, setting: str, prompted: bool) -> dict[str, Any]:
    model, inputs = reference.model, reference.inputs
    mask = None
    with torch.no_grad():
        if task == "vqa":
            memory, mask = question_memory(reference, model)
        elif task == "caption":
            memory = model.encode_image(inputs["image"])
        else:
            memory = with_video(inputs["video_frames"], model.encode_image)
    return released(reference, model, memory, mask, setting=setting, prompted=prompted)
