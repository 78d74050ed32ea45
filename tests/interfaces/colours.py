"""A data set that anything which sees can learn in seconds: sheets of colour, and their names."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 16
COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 180, 60),
    "blue": (40, 60, 220),
    "yellow": (230, 220, 50),
    "white": (245, 245, 245),
    "black": (15, 15, 15),
}
# A model of its size, for `load_config("tiny-pretrain", [...])`.
MODEL = (
    "model.vision.image_size=16",
    "model.vision.patch_size=8",
    "model.vision.stem=patch",
    "model.vision.stem_channels=[]",
    "model.vision.hidden_size=48",
    "model.vision.num_heads=3",
    "model.vision.intermediate_size=96",
    "model.text.hidden_size=48",
    "model.text.num_heads=3",
    "model.text.intermediate_size=96",
    "model.fusion.num_layers=1",
    "model.fusion.connected_at=[0]",
    "model.decoder.num_layers=1",
    "model.embed_dim=24",
    "data.vocab_size=600",
    "data.max_words=5",
    "data.augment=none",
)


def write_colours(folder: Path, *, count: int, seed: int) -> Path:
    """Noisy sheets, the colours in turn, and the records that name them."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    records = []
    for place in range(count):
        name, colour = list(COLOURS.items())[place % len(COLOURS)]
        pixels = np.array(colour) + random.normal(0, 12, (SIDE, SIDE, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{place}.png")
        records.append({"image": f"{place}.png", "caption": f"a {name} sheet"})
    file = folder / "records.jsonl"
    file.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return file
