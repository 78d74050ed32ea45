"""Saved weights on the Hugging Face hub: fetching exactly our files, and publishing them."""

import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from mplug.errors import CheckpointError

HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
LOCAL_RUNS = "runs"  # runs/demo is a folder of the user's, never somebody's repository


def is_hub_id(source: str) -> bool:
    """Whether `source` reads as OWNER/NAME and as nothing that could be meant on this machine."""
    if not HUB_ID.fullmatch(source):
        return False
    owner = source.split("/", maxsplit=1)[0]
    return owner != LOCAL_RUNS and not Path(owner).exists()


def download(repo_id: str, *, files: tuple[str, ...], revision: str | None = None) -> Path:
    """The folder of the hub's cache that holds `files`, and nothing else, of a repository.

    Raises:
        CheckpointError: there is no such repository, or it cannot be reached.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(repo_id, revision=revision, allow_patterns=list(files))
    # The hub's errors are OSErrors and ValueErrors (a name that cannot exist) of many kinds.
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{repo_id}: no such folder here, and it cannot be fetched from the Hugging Face hub: "
            f"{_first_line(error)}. Check the name and the connection; private models need "
            "`hf auth login`"
        ) from error
    return Path(folder)


def push(
    write: Callable[[Path], object],
    repo_id: str,
    *,
    files: tuple[str, ...],
    private: bool = False,
    message: str = "Upload mplug model",
) -> str:
    """Publish what `write` puts into a folder; makes the repository if needed; returns its URL.

    Raises:
        CheckpointError: the hub refuses it or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with TemporaryDirectory(prefix="mplug-push-") as folder:
        write(Path(folder) / "model")
        try:
            url = api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(
                repo_id=repo_id,
                folder_path=Path(folder) / "model",
                allow_patterns=list(files),
                commit_message=message,
            )
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{repo_id}: cannot be published on the Hugging Face hub: {_first_line(error)}. "
                "Log in with `hf auth login`, and check that you may write there"
            ) from error
    return str(url)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
