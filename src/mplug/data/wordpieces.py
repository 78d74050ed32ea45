"""Learning a WordPiece vocabulary: frequent neighbours merge; the same captions, the same pieces.

The trainer of the `tokenizers` library orders ties by hash, so that its vocabulary differs from
run to run; this one breaks them by spelling.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from heapq import heapify, heappop, heappush

Pair = tuple[str, str]
PREFIX = "##"  # of a piece that continues a word


def learn_pieces(
    words: Mapping[str, int],
    *,
    alone: Collection[str],
    alphabet: Collection[str],
    size: int,
    min_count: int = 2,
) -> list[str]:
    """Single characters first, then merges in the order learned; at most `size` pieces.

    Characters come both as a word's first piece and as a continuing one, so that any word spelled
    with them can be encoded; those in `alone` never stand inside a longer word and have one form.
    Characters of `alphabet` are always in; of the others, the rarest give way when there are too
    many (at most half of the pieces are characters, unless the alphabet needs more).
    """
    pieces = _characters(words, alone=alone, alphabet=alphabet, limit=size // 2)
    known = set(pieces)
    for merged in _merges(words, min_count=min_count):
        if len(pieces) >= size:
            break
        if merged not in known:
            known.add(merged)
            pieces.append(merged)
    return pieces[:size]


def _characters(
    words: Mapping[str, int], *, alone: Collection[str], alphabet: Collection[str], limit: int
) -> list[str]:
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    by_count = sorted(set(counts) - set(alphabet), key=lambda item: (-counts[item], item))
    pieces: list[str] = []
    for character in [*sorted(alphabet), *by_count]:
        forms = [character] if character in alone else [character, PREFIX + character]
        if character in alphabet or len(pieces) + len(forms) <= limit:
            pieces += forms
    return pieces


def _merges(words: Mapping[str, int], *, min_count: int) -> Iterator[str]:
    """The pieces that merging the most frequent neighbours makes, most frequent first."""
    spelled = [[word[:1], *(PREFIX + letter for letter in word[1:])] for word in sorted(words)]
    counts = [words[word] for word in sorted(words)]
    frequency: Counter[Pair] = Counter()
    where: defaultdict[Pair, set[int]] = defaultdict(set)
    for place, pieces in enumerate(spelled):
        for pair in zip(pieces, pieces[1:], strict=False):
            frequency[pair] += counts[place]
            where[pair].add(place)
    queue = [(-count, pair) for pair, count in frequency.items()]
    heapify(queue)
    while queue:
        negative, pair = heappop(queue)
        if -negative != frequency[pair]:
            continue  # an older count; the current one is in the queue too
        if -negative < min_count:
            return
        merged = pair[0] + pair[1].removeprefix(PREFIX)
        change: defaultdict[Pair, int] = defaultdict(int)
        for place in where.pop(pair):
            before, after = spelled[place], _join(spelled[place], pair, merged)
            for old in zip(before, before[1:], strict=False):
                change[old] -= counts[place]
            for new in zip(after, after[1:], strict=False):
                change[new] += counts[place]
                where[new].add(place)
            spelled[place] = after
        for touched, difference in change.items():
            if difference:
                frequency[touched] += difference
                heappush(queue, (-frequency[touched], touched))
        yield merged


def _join(pieces: list[str], pair: Pair, merged: str) -> list[str]:
    joined: list[str] = []
    place = 0
    while place < len(pieces):
        if tuple(pieces[place : place + 2]) == pair:
            joined.append(merged)
            place += 2
        else:
            joined.append(pieces[place])
            place += 1
    return joined
