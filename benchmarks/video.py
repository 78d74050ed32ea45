"""Eight frames of a long clip: leaping to keyframes, against decoding all of it."""

import tempfile
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch
from zlib import crc32

import numpy as np

from benchmarks import roof
from benchmarks.harness import Bar, Rival, Topic, compare, run_alone
from benchmarks.pictures import RATE, write_clip

HERE = "benchmarks.video"
FRAMES, KEYFRAME_EVERY = 8, 50
Work = Callable[[], dict[str, float]]


def _clip(seconds: int, size: list[int]) -> Path:
    path = Path(tempfile.mkdtemp()) / "clip.mp4"  # of the process, which keeps it while it lives
    write_clip(path, seconds=seconds, size=(size[0], size[1]), keyframe_every=KEYFRAME_EVERY)
    return path


def build_ours(*, seconds: int, size: list[int]) -> Work:
    """`read_clip`, as commands and evaluations call it."""
    from mplug.data.video import read_clip

    path = _clip(seconds, size)

    def work() -> dict[str, float]:
        clip = read_clip(path, frames=FRAMES)
        return {"decoded": clip.decoded} | _sums([np.asarray(each) for each in clip.frames])

    return work


def build_all(*, seconds: int, size: list[int]) -> Work:
    """Decodes every frame and keeps what shows at the centres of equal parts."""
    import av

    path = _clip(seconds, size)
    total = seconds * RATE
    wanted = [(2 * number + 1) * total // (2 * FRAMES) for number in range(FRAMES)]

    def work() -> dict[str, float]:
        found, times = [], []
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            for place, frame in enumerate(container.decode(stream)):
                times.append(place)
                if place in wanted:
                    found.append(frame.reformat(format="rgb24", threads=1).to_ndarray())
        assert bisect_right(times, total - 1) == total
        return {"decoded": len(times)} | _sums(found)

    return work


def _sums(frames: list[np.ndarray]) -> dict[str, float]:
    """A check sum of each frame: those of two ways are equal where the frames are."""
    return {f"frame {number}": crc32(each.tobytes()) for number, each in enumerate(frames)}


def build_caption(*, seconds: int, size: list[int]) -> Work:
    """A caption of the clip by mplug-tiny; counts what goes through its image encoder."""
    import mplug

    path, model = _clip(seconds, size), mplug.load("mplug-tiny", device="cpu")
    encode, seen = model.network.encode_image, []

    def counting(pixels: object, *rest: object) -> object:
        seen.append(len(pixels))  # type: ignore[arg-type]
        return encode(pixels, *rest)

    def work() -> dict[str, float]:
        seen.clear()
        with patch.object(model.network, "encode_image", counting):
            model.caption(path)
        return {"vision_calls": len(seen), "frames_a_call": max(seen)}

    return work


def topic(*, quick: bool) -> Topic:
    """Frames alone, then a caption."""
    arguments = {
        "seconds": 20 if quick else 60,
        "size": [160, 120] if quick else [640, 360],
    }
    found = compare(
        [
            Rival("mplug", HERE, "build_ours", arguments),
            Rival("all decoded", HERE, "build_all", arguments),
        ],
        rounds=2 if quick else 5,
        threads=1,
        reference="all decoded",
        title=f"{FRAMES} frames of {arguments['seconds']} seconds of H.264",
    )
    caption = compare(
        [Rival("mplug-tiny", HERE, "build_caption", arguments)],
        rounds=2 if quick else 5,
        threads=roof.THREADS,
        reference="mplug-tiny",
        title=f"A caption of {FRAMES} frames",
    )
    ours, counts = found["mplug"].counts, caption["mplug-tiny"].counts
    twin = found["all decoded"].counts
    others = sum(ours[name] != twin[name] for name in (f"frame {n}" for n in range(FRAMES)))
    return Topic(
        "video",
        title="Video",
        about=f"One file, a keyframe every {KEYFRAME_EVERY} of {RATE} frames a second. The twin "
        "decodes every frame; both use one thread.",
        comparisons=[found, caption],
        bars=[
            Bar("frames: image encoder calls a clip", counts["vision_calls"], at_most=1, unit=""),
            Bar("frames in that call", counts["frames_a_call"], at_least=FRAMES, unit=""),
            Bar("frames other than the twin's", others, at_most=0, unit=""),
            Bar(
                "frames decoded for one that is wanted",
                ours["decoded"] / FRAMES,
                at_most=KEYFRAME_EVERY,
                unit="",
            ),
        ],
        notes=[f"{ours['decoded']:.0f} of {twin['decoded']:.0f} frames were decoded for {FRAMES}."],
    )


if __name__ == "__main__":
    run_alone(topic)
