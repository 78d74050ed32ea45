"""What a model cannot do, said in words: systems differ in what can be asked of them."""

from collections.abc import Mapping
from typing import ClassVar, NoReturn

from mplug.errors import CheckpointError


class LacksVerb(CheckpointError, AttributeError):
    """The model is of a system that has no such ability."""


class Lacking:
    """An object that says of another system's verbs that it has them not."""

    LACKS: ClassVar[Mapping[str, str]] = {}  # verb -> the ability that it takes
    ABOUT: ClassVar[str] = "this model"
    INSTEAD: ClassVar[str] = ""  # what it can do

    def __getattr__(self, name: str) -> NoReturn:
        """Called for what is not there.

        Raises:
            LacksVerb: it is an ability of another system. AttributeError: nothing is called so.
        """
        if name in self.LACKS:
            raise LacksVerb(
                f"{name}: {self.ABOUT} cannot {self.LACKS[name]}; {self.INSTEAD}. A model of mPLUG "
                "has this ability, such as mplug-tiny"
            )
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
