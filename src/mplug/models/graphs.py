"""A decoder's steps as CUDA graphs: a word costs one launch, whatever the layers are made of.

A graph repeats the same kernels at the same addresses. So hypotheses have room for whole texts
from the start, a new word's place is a number on the device, and places without anything are
masked; pictures whose texts are done keep their room, and nobody reads what is written there.
Rooms come in few sizes, so that few graphs serve all batches.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, Self, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mplug.models.decoder import DecoderCache, DecoderLayer, Memory, MemoryMask, TextDecoder
from mplug.nn.attention import KeyValues

# What a room's sizes are multiples of; pictures come in powers of two.
KEYS, WORDS = 64, 32
KEPT = 4  # rooms with their graphs: the one unused the longest goes

# What makes of a function, which changes tensors in place, one that does it again to the same ones.
Capture = Callable[[Callable[[], None]], Callable[[], object]]


class Size(NamedTuple):
    """Of a room."""

    images: int
    hypotheses: int  # of each image
    keys: int
    words: int


class Room:
    """What texts of one size are written in: buffers that stay where they are, and the step."""

    def __init__(
        self, decoder: TextDecoder, size: Size, *, like: KeyValues, capture: Capture
    ) -> None:
        self.turn = 0  # counts what changes the buffers, so that an older cache is found out
        self.size, self._decoder = size, decoder
        self._layers = tuple(cast(Iterable[DecoderLayer], decoder.layers))
        _, heads, _, head_dim = like.keys.shape
        rows, device = size.images * size.hypotheses, like.keys.device
        both = (len(self._layers), 2)  # keys and values
        # What is made in inference mode could be changed in no other.
        with torch.inference_mode(False), torch.no_grad():
            self._memory = like.keys.new_zeros(*both, size.images, heads, size.keys, head_dim)
            self._words = like.keys.new_zeros(*both, rows, heads, size.words, head_dim)
            self._shown = torch.ones(size.images, size.keys, dtype=torch.bool, device=device)
            self._places = torch.arange(size.words, device=device)
            self._place = torch.zeros(1, dtype=torch.long, device=device)
            self._sources = torch.arange(rows, device=device)
            self._ids = torch.zeros(rows, 1, dtype=torch.long, device=device)
            self._logits = torch.zeros(())  # the step's own
            self._step = capture(self._read)

    def enter(self, cache: DecoderCache) -> "GraphedCache":
        """Copy in what was read so far; the cache's rows become the first ones."""
        images, _, keys, _ = cache.memory[0].keys.shape
        rows = len(cache.words[0].keys)
        # Zeros behind what is there: a masked number does not count, but NaN times zero would.
        self._memory[:, :, :, :, keys:].zero_()
        self._words[..., cache.length :, :].zero_()
        for room, found in zip(self._memory, cache.memory, strict=True):
            for part, new in zip(room, found, strict=True):
                part[:images, :, :keys].copy_(new)
        for room, found in zip(self._words, cache.words, strict=True):
            for part, new in zip(room, found, strict=True):
                part[:rows, :, : cache.length].copy_(new)
        self._shown.fill_(True)
        self._shown[:images, keys:] = False
        if cache.memory_mask is not None:
            self._shown[:images, :keys] = cache.memory_mask
        self.turn += 1
        slots = torch.arange(rows, device=self._sources.device)
        return GraphedCache(self, self.turn, slots=slots, sources=slots, length=cache.length)

    def leave(self, cache: "GraphedCache") -> DecoderCache:
        """What a plain cache would hold, but for masked keys behind the memory."""
        images = cache.slots[:: self.size.hypotheses] // self.size.hypotheses
        memory, words = (
            tuple(KeyValues(*each) for each in buffer.index_select(2, rows))
            for buffer, rows in ((self._memory, images), (self._words, cache.sources))
        )
        words = tuple(KeyValues(*(each[:, :, : cache.length] for each in layer)) for layer in words)
        return DecoderCache(memory, self._shown[images], words, cache.length)

    def step(
        self, ids: Int[Tensor, "rows 1"], cache: "GraphedCache"
    ) -> tuple[Float[Tensor, "rows vocab"], "GraphedCache"]:
        """One word more of each hypothesis."""
        torch.arange(len(self._sources), out=self._sources)
        self._sources[cache.slots] = cache.sources
        self._ids[cache.slots] = ids
        self._place.fill_(cache.length)
        self._step()
        self.turn += 1
        longer = replace(cache, turn=self.turn, sources=cache.slots, length=cache.length + 1)
        return self._logits.index_select(0, cache.slots), longer

    def _read(self) -> None:
        """What a graph holds: no number of it is Python's, nothing waits for the device."""
        self._words.copy_(self._words.index_select(2, self._sources))
        words = self._decoder.embeddings.at(self._ids, self._place)
        written = (self._places <= self._place).expand(len(words), 1, -1)
        for layer, kept, memory in zip(self._layers, self._words, self._memory, strict=True):
            words = layer.write(
                words,
                kept=KeyValues(*kept),
                place=self._place,
                written=written,
                memory=KeyValues(*memory),
                memory_mask=self._shown,
            )
        self._logits = self._decoder.logits(words[:, -1])


@dataclass(frozen=True)
class GraphedCache:
    """Which rows of a room are still being written, and where their words so far are."""

    room: Room
    turn: int
    slots: Int[Tensor, "rows"]  # where each hypothesis's words will be
    sources: Int[Tensor, "rows"]  # where they are now
    length: int

    def reorder(self, indices: Int[Tensor, "rows"]) -> Self:
        """The hypotheses at `indices`, each still with its image.

        Raises:
            ValueError: they are more or fewer than there were.
        """
        if len(indices) != len(self.slots):
            raise ValueError(
                f"{len(indices)} hypotheses in place of {len(self.slots)}: their number cannot "
                "change in a graph, use the plain decoder"
            )
        return replace(self, sources=self.sources[indices])

    def select(self, images: Int[Tensor, "kept"], *, rows: Int[Tensor, "rows"]) -> Self:
        """Only some images, and the hypotheses `rows` that belong to them."""
        slots = self.slots.reshape(-1, len(rows) // len(images))[images].flatten()
        return replace(self, slots=slots, sources=self.sources[rows])


class GraphedDecoder:
    """Drives a `TextDecoder` in eval mode for searches that keep as many texts for each picture.

    What has several new words, a prompt, is read as ever. One search at a time.
    """

    def __init__(self, decoder: TextDecoder, *, capture: Capture) -> None:
        self._decoder, self._capture = decoder, capture
        self._rooms: dict[Size, Room] = {}

    def start(self, memory: Memory, memory_mask: MemoryMask = None) -> DecoderCache:
        """As the decoder itself."""
        return self._decoder.start(memory, memory_mask)

    def step(
        self, ids: Int[Tensor, "rows new"], cache: DecoderCache | GraphedCache
    ) -> tuple[Float[Tensor, "rows vocab"], DecoderCache | GraphedCache]:
        """Logits after the last of the new words, and the cache that holds them.

        Raises:
            RuntimeError: the decoder is in training mode, or another step has been made since the
                one that gave this cache, whose words are gone.
            ValueError: the text is longer than the positions learned, or several words follow
                single ones.
        """
        if self._decoder.training:
            raise RuntimeError("a graph would leave out dropout: put the decoder in eval mode")
        if isinstance(cache, DecoderCache):
            if ids.shape[1] > 1 or not cache.words:
                return self._decoder.step(ids, cache)
            cache = self._entered(cache)
        if ids.shape[1] > 1:
            raise ValueError(f"{ids.shape[1]} new words at once: a graph holds a step of one")
        if cache.turn != cache.room.turn:
            raise RuntimeError("this cache's words are gone: its decoder has made another step")
        if cache.length == cache.room.size.words:
            cache = self._entered(cache.room.leave(cache))
        return cache.room.step(ids, cache)

    def _entered(self, cache: DecoderCache) -> GraphedCache:
        """Its contents in a room with place for more."""
        images, _, keys, _ = cache.memory[0].keys.shape
        positions = self._decoder.embeddings.positions.num_embeddings
        if cache.length >= positions:
            raise ValueError(f"{cache.length + 1} tokens, but the model has {positions} positions")
        size = Size(
            images=1 << (images - 1).bit_length(),
            hypotheses=len(cache.words[0].keys) // images,
            keys=_filled(keys, KEYS),
            words=min(_filled(cache.length + 1, WORDS), positions),
        )
        room = self._rooms.pop(size, None)
        if room is None:
            if len(self._rooms) == KEPT:
                del self._rooms[next(iter(self._rooms))]
            room = Room(self._decoder, size, like=cache.words[0], capture=self._capture)
        self._rooms[size] = room  # the last to go
        return room.enter(cache)


def cuda_graph(run: Callable[[], None], *, device: torch.device) -> Callable[[], object]:
    """`run`, which changes tensors of this GPU, as one launch."""
    with torch.cuda.device(device):
        # What is set up at a first call (kernels, workspaces) cannot be while a graph is captured.
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            run()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
    return graph.replay


def _filled(count: int, unit: int) -> int:
    """The next multiple of `unit`."""
    return -(-count // unit) * unit
