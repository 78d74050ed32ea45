"""The arithmetic that work needs, in GFLOP (a multiply-add is two), from a model's sizes.

Useful arithmetic: each image's keys and values once, no padding, no state that nobody reads.
"""

from mplug.config.schema import MPlugConfig, TextConfig
from mplug.nn.unprojected import pays_unprojected

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
    config: MPlugConfig,
    *,
    lengths: list[int],
    images: int,
    with_image: bool = False,
    first: int | None = None,
) -> float:
    """Each text with its image; `images` is how many different ones there are.

    `with_image`: the image's states after the last layer are wanted too. `first`: of each text, no
    more of its last states than these are.
    """
    text, seen = config.text, image_tokens(config)
    dim, hidden = text.hidden_size, text.intermediate_size
    total, different = 0, images
    for place in range(config.fusion.num_layers):
        last, shared = place == config.fusion.num_layers - 1, different < len(lengths)
        if place not in config.fusion.connected_at:
            total += shared * different * 2 * seen * dim * dim
            for length in lengths:
                wanted = first if last and first is not None else length
                total += _attention(text, wanted, length) + wanted * 2 * dim * hidden
                total += _attention(text, wanted, seen, projected=shared)
            continue
        text_only = last and not with_image
        if shared:
            total += different * (2 if text_only else 3) * seen * dim * dim
        for length in lengths:
            both = seen + length
            asked = length if first is None else first  # of the text, where it is all that is asked
            wanted = asked if text_only else both
            total += wanted * 2 * dim * hidden
            if shared:
                projected = (asked if text_only else length) + 2 * length
                total += (projected + wanted) * dim * dim + 2 * wanted * both * dim
            else:
                total += _attention(text, wanted, both)
        different = len(lengths)
    return GIGA * total


def _layer(text: TextConfig, length: int) -> int:
    return _attention(text, length, length) + length * 2 * text.hidden_size * text.intermediate_size


def _attention(text: TextConfig, queries: int, keys: int, *, projected: bool = False) -> int:
    """From queries to what they read, by the shorter way; `projected`: keys and values are there.

    Few queries read a memory as it is (`mplug.nn.unprojected`).
    """
    dim, heads = text.hidden_size, text.num_heads
    around = 2 * queries * dim * dim
    if projected:
        return around + 2 * queries * keys * dim
    if pays_unprojected(queries=queries, keys=keys, heads=heads, memory_dim=dim, heads_dim=dim):
        return around + 2 * queries * dim * (dim + heads * keys)
    return around + 2 * keys * dim * dim + 2 * queries * keys * dim
