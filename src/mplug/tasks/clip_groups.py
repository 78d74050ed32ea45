"""Which parameters of a CLIP model learn at which rate, and which of them decay."""

from collections.abc import Iterator

from torch import Tensor, nn

from mplug.config.schema import OptimConfig
from mplug.models.clip import Clip
from mplug.training.task import Group

POSITIONS = "positions"


def clip_groups(task: nn.Module, *, model: Clip, optim: OptimConfig) -> list[Group]:
    """The trainable parameters of `task`; those that encode pictures are apart.

    Embeddings and positions are spared weight decay, as are all vectors.
    """
    vision = {id(p) for part in (model.vision, model.image_head) for p in part.parameters()}
    tables = {id(table) for table in _tables(task)}
    named = [(name, p) for name, p in task.named_parameters() if p.requires_grad]
    spared = frozenset(name for name, p in named if id(p) in tables)
    vision_lr = optim.lr if optim.vision_lr is None else optim.vision_lr
    return [
        Group("vision", [(n, p) for n, p in named if id(p) in vision], vision_lr, spared),
        Group("rest", [(n, p) for n, p in named if id(p) not in vision], optim.lr, spared),
    ]


def _tables(task: nn.Module) -> Iterator[Tensor]:
    for module in task.modules():
        if isinstance(module, nn.Embedding):
            yield module.weight
    for name, parameter in task.named_parameters():
        if name.rpartition(".")[2] == POSITIONS:
            yield parameter
