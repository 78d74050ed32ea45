"""A random model whose sizes all differ, and pictures of every odd kind."""

import io
import json
import struct
import zlib
from functools import lru_cache
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from PIL import Image

from mplug.config.load import dump_yaml
from mplug.config.recipes import recipe
from mplug.config.schema import (
    DecoderConfig,
    FusionConfig,
    GenerationConfig,
    MPlugConfig,
    Skill,
    TextConfig,
    VisionConfig,
)
from mplug.data.tokenizer import Tokenizer
from mplug.models.mplug import MPlug
from mplug.weights.card import ModelCard, Score
from mplug.weights.shipped import ABOUT, RECIPE
from mplug.weights.store import save_pretrained

CAPTIONS = ("a red trophy left of an avocado", "two green boats under a large yellow moon")
GENERATION = GenerationConfig(beams=3, min_tokens=2, max_tokens=6)
CARD = ModelCard(
    name="tiny",
    summary="A random model.",
    data="None.",
    licence="Apache-2.0",
    scores=(Score("retrieval", "test", "recall_at_1", 0.25, 0.2, 0.3, 40, {"chance": 0.01}),),
)
SKILLS: tuple[Skill, ...] = get_args(Skill)
EXIF_ORIENTATION = 0x0112
LARGE = 0.3  # standard deviation of weights


@lru_cache
def tiny_tokenizer() -> Tokenizer:
    return Tokenizer.train(CAPTIONS * 3, vocab_size=700)


def tiny_config(skills: tuple[Skill, ...] = ()) -> MPlugConfig:
    return MPlugConfig(
        vision=VisionConfig(
            image_size=24,
            patch_size=8,
            hidden_size=20,
            num_layers=2,
            num_heads=5,
            intermediate_size=36,
        ),
        text=TextConfig(
            vocab_size=tiny_tokenizer().vocab_size,
            hidden_size=12,
            num_layers=1,
            num_heads=3,
            intermediate_size=28,
            max_positions=17,
        ),
        fusion=FusionConfig(num_layers=3, connected_at=(1,)),
        decoder=DecoderConfig(num_layers=4),
        embed_dim=7,
        skills=skills,
    )


def tiny_model(seed: int = 0, *, skills: tuple[Skill, ...] = ()) -> MPlug:
    """Its weights are so large that pictures differ in their captions, which hold words only."""
    torch.manual_seed(seed)
    model = MPlug(tiny_config(skills)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 or "class_embedding" in name:
                parameter.mul_(LARGE / parameter.std())
        unwritten = sorted(tiny_tokenizer().special_ids - {tiny_tokenizer().sep_id})
        model.decoder.head.bias[unwritten] = -1000.0
    return model


def save_tiny(folder: Path, *, seed: int = 0, skills: tuple[Skill, ...] = ()) -> Path:
    return save_pretrained(
        folder,
        model=tiny_model(seed, skills=skills),
        tokenizer=tiny_tokenizer(),
        generation=GENERATION,
        card=CARD,
    )


def save_brought(folder: Path) -> Path:
    """What stands for the model that mplug brings, with what is beside it."""
    save_tiny(folder, skills=SKILLS)
    (folder / ABOUT).write_text(json.dumps({"knows": "3 drawn things"}), encoding="utf-8")
    (folder / RECIPE).mkdir()
    for place, name in enumerate(("scenes-200", "scenes-200-tasks"), start=1):
        file = folder / RECIPE / f"{place}-{name}.yaml"
        file.write_text(dump_yaml(recipe(name)), encoding="utf-8")
    return folder


def picture(seed: int, *, width: int = 37, height: int = 29) -> Image.Image:
    """A few large blocks of colour."""
    blocks = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)


def odd_pictures(folder: Path) -> list[Path]:
    """Pictures that are unusual and must work."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = picture(1)
    alpha = plain.copy()
    alpha.putalpha(Image.linear_gradient("L").resize(plain.size))
    alpha.save(folder / "alpha.png")
    plain.convert("L").save(folder / "grey.jpg")
    plain.convert("CMYK").save(folder / "cmyk.jpg")
    deep = np.asarray(plain.convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "sixteen bits.png")
    plain.quantize(5).save(folder / "palette.png")
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    plain.save(folder / "turned.jpg", exif=exif)
    frames = [picture(seed) for seed in (2, 3)]
    plain.save(folder / "animated.gif", save_all=True, append_images=frames)
    plain.save(folder / "a path with spaces.webp")
    return sorted(folder.iterdir())


def broken_pictures(folder: Path) -> list[Path]:
    """Files that look like pictures and are none that can be used."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = io.BytesIO()
    picture(4, width=90, height=70).save(whole, "JPEG")
    (folder / "truncated.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "page.jpg").write_text("<!DOCTYPE html><html>404</html>", encoding="utf-8")
    (folder / "bomb.png").write_bytes(bomb())
    return sorted(folder.iterdir())


def bomb() -> bytes:
    """A PNG of a few bytes that says it is 20,000 x 20,000 pixels large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")
