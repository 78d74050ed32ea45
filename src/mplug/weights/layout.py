"""The files of a saved model; imports no torch, so that looking for one is instant.

config.json         format version, sizes, hashes of the two files that must belong together
generation.json     how it decodes unless told otherwise
model.safetensors   the weights
tokenizer.json      its words
README.md           the model card
"""

from pathlib import Path

CONFIG, GENERATION = "config.json", "generation.json"
WEIGHTS, TOKENIZER, CARD = "model.safetensors", "tokenizer.json", "README.md"
FILES = (CONFIG, GENERATION, WEIGHTS, TOKENIZER, CARD)
HASHED = (WEIGHTS, TOKENIZER)


def is_saved_model(folder: Path) -> bool:
    """Whether `folder` looks like something that `save_pretrained` wrote."""
    return (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()
