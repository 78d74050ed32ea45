"""Which parameters learn at which rate: the image encoder may have its own."""

from collections.abc import Iterable

from torch import nn

from mplug.config.schema import OptimConfig
from mplug.models.mplug import MPlug
from mplug.training.task import Group


def parameter_groups(task: nn.Module, *, model: MPlug, optim: OptimConfig) -> list[Group]:
    """The trainable parameters of `task`, those of the model's image encoder apart.

    Embeddings and positions are spared weight decay, as are all vectors.
    """
    vision = {id(parameter) for parameter in model.vision.parameters()}
    spared = {id(parameter) for parameter in _tables(task)}
    named = [(name, p) for name, p in task.named_parameters() if p.requires_grad]
    spared_names = frozenset(name for name, p in named if id(p) in spared)
    rate = optim.lr if optim.vision_lr is None else optim.vision_lr
    return [
        Group("vision", [(n, p) for n, p in named if id(p) in vision], rate, spared_names),
        Group("rest", [(n, p) for n, p in named if id(p) not in vision], optim.lr, spared_names),
    ]


def _tables(task: nn.Module) -> Iterable[nn.Parameter]:
    for module in task.modules():
        if isinstance(module, nn.Embedding):
            yield module.weight
        if isinstance(module, MPlug):
            yield module.vision.positions
