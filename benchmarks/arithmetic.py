"""The arithmetic that work needs, in GFLOP (a multiply-add is two), from a model's sizes.

Useful arithmetic: each image's keys and values once, no padding, no state that nobody reads.
"""

from mplug.config.schema import MPlugConfig, TextConfig

GIGA = 2e-9  # GFLOP of a multiply-add


def image_tokens(config: MPlugConfig) -> int:
    """The class token and the patches."""
    return 1 + (config.vision.image_size // config.vision.patch_size) ** 2


def vision(config: MPlugConfig, *, images: int) -> float:
    """The vision transformer; its stem is one projection of patches."""
    sizes, tokens = config.vision, image_tokens(config)
    dim, hidden = sizes.hidden_size, sizes.intermediate_size
    stem = (tokens - 1) * 3 * sizes.patch_size**2 * dim
    layer = tokens * (4 * dim * dim + 2 * dim * hidden) + 2 * tokens * tokens * dim
    return GIGA * images * (stem + sizes.num_layers * layer)


def memory(config: MPlugConfig, *, images: int, tokens: int) -> float:
    """Keys and values of a memory for every layer of the decoder."""
    dim = config.text.hidden_size
    return GIGA * images * config.decoder.num_layers * 2 * tokens * dim * dim


def words(config: MPlugConfig, *, rows: int, behind: int, tokens: int) -> float:
    """One new word in each row, behind others, over a memory of `tokens`; and its vocabulary."""
    text = config.text
    dim, hidden = text.hidden_size, text.intermediate_size
    layer = 6 * dim * dim + 2 * dim * hidden + 2 * dim * (behind + 1 + tokens)
    head = dim * dim + dim * text.vocab_size
    return GIGA * rows * (config.decoder.num_layers * layer + head)


def writing(config: MPlugConfig, *, images: int, beams: int, written: int, tokens: int) -> float:
    """A beam search that writes `written` words: the first step reads one row for each image."""
    steps = (
        words(config, rows=images * (beams if place else 1), behind=place, tokens=tokens)
        for place in range(written)
    )
    return memory(config, images=images, tokens=tokens) + sum(steps)


def captions(config: MPlugConfig, *, images: int, beams: int, written: int) -> float:
    """From pixels to captions."""
    tokens = image_tokens(config)
    search = writing(config, images=images, beams=beams, written=written, tokens=tokens)
    return vision(config, images=images) + search


def text_encoder(config: MPlugConfig, *, lengths: list[int]) -> float:
    """Texts of these lengths."""
    return GIGA * config.text.num_layers * sum(_layer(config.text, length) for length in lengths)


def fusion(
    config: MPlugConfig, *, lengths: list[int], images: int, with_image: bool = False
) -> float:
    """Each text with its image; `images` is how many different ones there are.

    `with_image`: the image's states after the last layer are wanted too.
    """
    text, seen = config.text, image_tokens(config)
    dim, hidden = text.hidden_size, text.intermediate_size
    total, different = 0, images
    for place in range(config.fusion.num_layers):
        last = place == config.fusion.num_layers - 1 and not with_image
        if place not in config.fusion.connected_at:
            total += different * 2 * seen * dim * dim
            read = 2 * dim * dim + 2 * seen * dim
            total += sum(_layer(text, length) + length * read for length in lengths)
            continue
        for length in lengths:
            both = seen + length
            queries = length if last else both
            total += 2 * both * dim * dim + 2 * queries * both * dim
            total += queries * (2 * dim * dim + 2 * dim * hidden)
        different = len(lengths)
    return GIGA * total


def _layer(text: TextConfig, length: int) -> int:
    dim, hidden = text.hidden_size, text.intermediate_size
    return length * (4 * dim * dim + 2 * dim * hidden) + 2 * length * length * dim
