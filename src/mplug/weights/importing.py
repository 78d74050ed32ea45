"""`mplug weights import`: a stranger's checkpoint into a folder of ours, with an account of it.

What cannot be placed is refused, with all of it listed; what is dropped, new, resized or assumed is
told, and kept in `import.json` beside the weights.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from mplug.config.schema import GenerationConfig
from mplug.data.byte_pair import load_tokenizer
from mplug.data.tokenizer import Tokenizer
from mplug.errors import CheckpointError
from mplug.models.mplug import MPlug
from mplug.weights.card import ModelCard
from mplug.weights.clip_folder import save_clip
from mplug.weights.convert import import_original
from mplug.weights.layout import CONFIG
from mplug.weights.original_albef import import_albef
from mplug.weights.original_bert import import_bert
from mplug.weights.original_clip import import_clip
from mplug.weights.original_uniter import import_uniter
from mplug.weights.original_vit import import_vit
from mplug.weights.reading import Weights, read_weights
from mplug.weights.starting import find_tokenizer, normalisation_of
from mplug.weights.store import build, save_pretrained
from mplug.weights.towers import TextTower, VisionTower, save_tower
from mplug.weights.uniter_folder import LoadedUniter, save_uniter

ACCOUNT = "import.json"


@dataclass(frozen=True)
class Request:
    """What is to be imported, and how."""

    source: str
    kind: str
    config: Path | None = None  # of the original, where no config.json lies beside it
    vocabulary: Path | None = None
    image_size: int | None = None  # pixels; positions are resized to it
    ignore: tuple[str, ...] = ()  # beginnings of keys to drop that nothing here knows


@dataclass(frozen=True)
class Account:
    """What became of every tensor."""

    kind: str
    files: tuple[str, ...]
    tensors: int
    parameters: int
    model: Mapping[str, Any]  # its sizes
    dropped: Mapping[str, str] = field(default_factory=dict)  # original key: why
    new: tuple[str, ...] = ()  # parameters of ours that the file lacks
    resized: Mapping[str, str] = field(default_factory=dict)  # key: from what to what
    notes: tuple[str, ...] = ()  # what was assumed or folded
    left_out: tuple[str, ...] = ()  # what the file holds besides weights

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Import:
    """A model as it was imported: its account, and how to write it into a folder."""

    account: Account
    save: Callable[[Path], object]


def import_weights(request: Request) -> Import:
    """Read a checkpoint as the kind that the request says; nothing is written yet.

    Raises:
        CheckpointError: it cannot be read safely, or does not fit; every tensor that is missing,
            unexpected or of the wrong size is listed.
    """
    if request.kind not in KINDS:
        raise CheckpointError(f"--as {request.kind}: must be one of {', '.join(KINDS)}")
    weights = read_weights(request.source, config=request.config)
    try:
        return KINDS[request.kind](request, weights)
    except CheckpointError as error:
        raise CheckpointError(f"{request.source}, as {request.kind}: {error}") from error


def save_import(made: Import, folder: Path) -> None:
    """Write the model and its account.

    Raises:
        CheckpointError: the folder has other files of weights, cannot be written, or no vocabulary
            came with a model that needs one.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"{folder}: is not empty: name another folder")
    made.save(folder)
    text = json.dumps(made.account.to_dict(), indent=1) + "\n"
    (folder / ACCOUNT).write_text(text, encoding="utf-8")


def _mplug(request: Request, weights: Weights) -> Import:
    made = import_original(weights.tensors, weights.config, ignore=request.ignore)
    return _as_mplug(request, weights, made.model, {"dropped": made.dropped, "new": made.new})


def _albef(request: Request, weights: Weights) -> Import:
    made = import_albef(weights.tensors, weights.config, ignore=request.ignore)
    told = {"dropped": made.dropped, "new": made.new, "notes": made.notes}
    return _as_mplug(request, weights, made.model, told)


def _as_mplug(request: Request, weights: Weights, model: MPlug, told: Mapping[str, Any]) -> Import:
    """A model of mPLUG's parts, at the size of pictures that was asked for."""
    before, after = model.config.vision.image_size, request.image_size
    resized = {}
    if after is not None and after != before:
        where = f"--image-size {after}"
        model = build(model.config, model.state_dict(), where=where, image_size=after)
        resized = {"vision.positions": f"from {before} to {after} px"}

    def save(folder: Path) -> None:
        save_pretrained(
            folder,
            model=model,
            tokenizer=_vocabulary(request, weights),
            generation=GenerationConfig(),
            card=_card(request, weights),
        )

    sizes = model.config.model_dump(mode="json")
    return Import(_account(request, weights, model, sizes, {**told, "resized": resized}), save)


def _clip(request: Request, weights: Weights) -> Import:
    made = import_clip(weights.tensors, weights.config, image_size=request.image_size)
    sizes = made.model.config.model_dump(mode="json")
    told = {"dropped": made.dropped, "resized": made.resized}

    def save(folder: Path) -> None:
        words = load_tokenizer(request.vocabulary or weights.folder)
        save_clip(folder, model=made.model, tokenizer=words, card=_card(request, weights))

    return Import(_account(request, weights, made.model, sizes, told), save)


def _uniter(request: Request, weights: Weights) -> Import:
    _no_size(request)
    made = import_uniter(weights.tensors, weights.config, ignore=request.ignore)
    sizes = made.model.config.model_dump(mode="json")
    told = {"dropped": made.dropped, "new": made.new}

    def save(folder: Path) -> None:
        words = _vocabulary(request, weights)
        loaded = LoadedUniter(made.model, words, answers=(), encoder="")
        save_uniter(folder, loaded, card=_card(request, weights))

    return Import(_account(request, weights, made.model, sizes, told), save)


def _bert(request: Request, weights: Weights) -> Import:
    _no_size(request)
    tower = import_bert(weights.tensors, weights.config, tokenizer=None)

    def save(folder: Path) -> None:
        words = _vocabulary(request, weights)
        save_tower(folder, TextTower(tower.config, tower.tensors, words))

    return Import(_tower_account(request, weights, tower), save)


def _vit(request: Request, weights: Weights) -> Import:
    _no_size(request)
    tower = import_vit(
        weights.tensors, weights.config, normalisation=normalisation_of(weights.folder)
    )
    return Import(_tower_account(request, weights, tower), lambda folder: save_tower(folder, tower))


KINDS: dict[str, Callable[[Request, Weights], Import]] = {
    "mplug": _mplug,
    "clip": _clip,
    "uniter": _uniter,
    "albef": _albef,
    "bert": _bert,
    "vit": _vit,
}


def _account(
    request: Request,
    weights: Weights,
    model: nn.Module,
    sizes: Mapping[str, Any],
    told: Mapping[str, Any],
) -> Account:
    return Account(
        kind=request.kind,
        files=tuple(file.name for file in weights.files),
        tensors=len(weights.tensors),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        model=sizes,
        left_out=weights.left_out,
        **told,
    )


def _tower_account(request: Request, weights: Weights, tower: TextTower | VisionTower) -> Account:
    return Account(
        kind=request.kind,
        files=tuple(file.name for file in weights.files),
        tensors=len(weights.tensors),
        parameters=sum(tensor.numel() for tensor in tower.tensors.values()),
        model=tower.config.model_dump(mode="json"),
        dropped=tower.fate.dropped,
        notes=tower.fate.notes,
        left_out=weights.left_out,
    )


def _vocabulary(request: Request, weights: Weights) -> Tokenizer:
    if request.vocabulary is not None:
        return Tokenizer.load(request.vocabulary)
    found = find_tokenizer(weights.folder)
    if found is None:
        raise CheckpointError(
            f"{weights.folder}: no vocabulary lies beside the weights, and without it they read no "
            "text: name its vocab.txt with --vocabulary (of mPLUG and ALBEF that of "
            "bert-base-uncased)"
        )
    return found


def _no_size(request: Request) -> None:
    if request.image_size is not None:
        raise CheckpointError(
            f"--image-size: a {request.kind} encoder is saved as it is; a run that starts from it "
            "resizes its positions"
        )


def _card(request: Request, weights: Weights) -> ModelCard:
    files = ", ".join(f"`{file.name}`" for file in weights.files)
    return ModelCard(
        name=weights.files[0].stem,
        summary=f"Weights of the original {request.kind}, imported from {files}; "
        f"`{ACCOUNT}` says what became of every tensor, and `{CONFIG}` its sizes.",
        data="What the original was trained on.",
        licence="other",
    )
