"""A model that can be saved can be published: on the Hugging Face hub, under its owner's name."""

from abc import ABC, abstractmethod
from pathlib import Path

from mplug.weights import hub
from mplug.weights.card import ModelCard
from mplug.weights.layout import FILES


class Published(ABC):
    """What every kind of model has of the hub; each knows itself how it is saved."""

    @abstractmethod
    def save_pretrained(self, folder: str | Path, *, card: ModelCard | str | None = None) -> Path:
        """Write the model into `folder`; without `card` it keeps the one it came with.

        Raises:
            CheckpointError: the folder cannot be written.
        """

    def push_to_hub(
        self, repo_id: str, *, private: bool = False, card: ModelCard | str | None = None
    ) -> str:
        """Publish the model as `repo_id` (OWNER/NAME) on the Hugging Face hub; returns its URL.

        Raises:
            CheckpointError: the hub refuses it or cannot be reached.
        """
        return hub.push(
            lambda folder: self.save_pretrained(folder, card=card),
            repo_id,
            files=FILES,
            private=private,
        )
