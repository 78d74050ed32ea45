"""What a report shows of single pictures, as plain data that checks itself when it is made."""

from dataclasses import dataclass, field

from mplug.errors import DataError

_PICTURE_TYPES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
}


@dataclass(frozen=True)
class Picture:
    """An encoded picture (PNG, JPEG or WebP), and what it shows in words."""

    data: bytes = field(repr=False)
    description: str

    def __post_init__(self) -> None:
        self.media_type  # noqa: B018 - refuse other files where the picture is made

    @property
    def media_type(self) -> str:
        """The media type, from the first bytes.

        Raises:
            DataError: the bytes are no PNG, JPEG or WebP file.
        """
        for start, media_type in _PICTURE_TYPES.items():
            if self.data.startswith(start):
                return media_type
        raise DataError(
            f"picture {self.description!r}: not a PNG, JPEG or WebP file "
            f"(it starts with {self.data[:8]!r}); encode it before it goes into a report"
        )


@dataclass(frozen=True)
class CaptionExample:
    """A held-out picture with the model's caption, the true ones, and what is in it."""

    picture: Picture
    split: str
    predicted: str
    references: tuple[str, ...]
    objects: frozenset[str]


@dataclass(frozen=True)
class SearchResult:
    """One found picture, and whether it is the one that was asked for."""

    picture: Picture
    right: bool


@dataclass(frozen=True)
class SearchExample:
    """A text, the pictures found for it, best first, and the place (from 1) of the right one.

    `wanted` is the right one, where it is not among those that were found.
    """

    query: str
    split: str
    results: tuple[SearchResult, ...]
    place: int
    gallery: int
    wanted: Picture | None = None


@dataclass(frozen=True)
class AskExample:
    """A question or a statement about pictures, with what the model says and what is right.

    `pictures` is one, the left and the right one of a pair, or the frames of a clip. `blind` is
    what the model says of the same text without a picture, `sure` how likely it finds what it says.
    """

    pictures: tuple[Picture, ...]
    split: str
    text: str
    said: str
    true: str
    blind: str = ""
    sure: float | None = None

    def __post_init__(self) -> None:
        if not self.pictures:
            raise ValueError(f"{self.text!r} is asked of no picture")
        if self.sure is not None and not 0 <= self.sure <= 1:
            raise ValueError(f"{self.text!r}: sure is {self.sure}, not from 0 to 1")

    @property
    def right(self) -> bool:
        """Whether the model says what is right."""
        return self.said == self.true


Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in shares of the picture's sides."""


@dataclass(frozen=True)
class BoxExample:
    """A phrase about a picture, where the model sees it, where it is, and what the two share."""

    picture: Picture
    split: str
    text: str
    found: Box
    true: Box
    overlap: float
    right: bool

    def __post_init__(self) -> None:
        for name, box in {"found": self.found, "true": self.true}.items():
            if not (0 <= box[0] <= box[2] <= 1 and 0 <= box[1] <= box[3] <= 1):
                raise ValueError(
                    f"{self.text!r}: {name} box {box} is not left, top, right and bottom from 0 "
                    "to 1"
                )
