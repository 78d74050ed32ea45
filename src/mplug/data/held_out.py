"""Reads what is to be kept out of training: records, lists of ids, folders as REFER publishes."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from mplug.data.convert.common import Conversion, LeftOut, Row, Rows, picture_id
from mplug.data.lines import read_lines
from mplug.data.overlap import HeldOut, is_published
from mplug.data.records import Record, read_records
from mplug.data.safe_pickle import read_plain
from mplug.errors import DataError

# Data sets to train on, and the tests whose pictures are among theirs.
SHARED_WITH = {
    "coco": "RefCOCO, RefCOCO+ and RefCOCOg (all in train2014), Karpathy's val and test",
    "coco-karpathy": "RefCOCO, RefCOCO+ and RefCOCOg (all in train2014)",
    "vqav2": "RefCOCO, RefCOCO+ and RefCOCOg (all in train2014), Karpathy's val and test",
    "visual-genome": "COCO's val, VQA's val and RefCOCO's (image_data= tells which)",
    "gqa": "COCO's val, VQA's val and RefCOCO's (image_data= tells which)",
    "flickr30k": "SNLI-VE, whose splits differ",
    "snli-ve": "Flickr30k, whose splits differ",
}


def read_held_out(paths: Iterable[Path]) -> HeldOut:
    """Records (.jsonl, .csv, a folder), ids (.txt, one a line), or REFER folders, put together.

    Of a REFER folder these are the pictures of its splits other than train. Records whose picture
    is not there are refused; ids need no pictures.

    Raises:
        DataError: a file cannot be read, or an id is none that a converter gives.
    """
    records: list[Record] = []
    ids: dict[str, str] = {}
    for path in paths:
        if path.is_dir() and any(path.glob("refs(*).p")):
            ids.update(dict.fromkeys(_refer_ids(path), str(path)))
        elif path.suffix.lower() == ".txt":
            ids.update(dict.fromkeys(_listed_ids(path), str(path)))
        else:
            records += read_records(path).require()
    return HeldOut(tuple(records), ids)


def _listed_ids(path: Path) -> Iterator[str]:
    for line in read_lines(path):
        given = line.text.strip()
        if line.problem or (given and not is_published(given)):
            reason = line.problem or "must be an id such as coco:391895"
            raise DataError(f"{path}, line {line.number}: {reason}")
        if given:
            yield given


def _refer_ids(folder: Path) -> Iterator[str]:
    source = "saiapr" if folder.name == "refclef" else "coco"
    for path in sorted(folder.glob("refs(*).p")):
        references = read_plain(path)
        if not isinstance(references, list):
            raise DataError(f"{path}: expected a list of references")
        for number, reference in enumerate(references):
            held = isinstance(reference, dict) and {"split", "image_id"} <= reference.keys()
            if not held:
                raise DataError(f"{path}, [{number}]: expected an object with split and image_id")
            if reference["split"] != "train":
                yield picture_id(source, reference["image_id"])


def leave_out(conversion: Conversion, held_out: HeldOut) -> Conversion:
    """A conversion without the pictures held out, which are counted; tests are left as they are."""
    ids = held_out.known_ids()
    if not ids:
        raise DataError("nothing to leave out: what --without names has no id such as coco:391895")

    def rows() -> Rows:
        for row in conversion.rows:
            if isinstance(row, Row) and "test" not in row.split:
                where = ids.get(row.record.get("image_id", ""))
                yield row if where is None else LeftOut(f"{row.split}: its picture is held out")
            else:
                yield row

    return replace(conversion, rows=rows())
