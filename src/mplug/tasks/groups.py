"""Which parameters learn at which rate: each encoder may have its own, a temperature must."""

from collections.abc import Callable, Iterable

from torch import Tensor, nn

from mplug.config.schema import OptimConfig
from mplug.models.mplug import MPlug
from mplug.training.task import Group

TEMPERATURE_RATE = 1e-4  # at most: Adam's steps have the size of the rate, a temperature's is 0.07


def parameter_groups(task: nn.Module, *, model: MPlug, optim: OptimConfig) -> list[Group]:
    """The trainable parameters of `task`; the model's encoders and temperature are apart.

    Embeddings and positions are spared weight decay, as are all vectors.
    """
    vision = {id(parameter) for parameter in model.vision.parameters()}
    tables = {id(parameter) for parameter in _tables(task)}
    named = [(name, p) for name, p in task.named_parameters() if p.requires_grad]
    spared = frozenset(name for name, p in named if id(p) in tables)
    vision_lr = optim.lr if optim.vision_lr is None else optim.vision_lr
    text = {id(parameter) for parameter in model.text_encoder.parameters()}
    text_lr = optim.lr if optim.text_lr is None else optim.text_lr
    apart = vision | text | {id(model.temperature)}

    def group(name: str, members: Callable[[nn.Parameter], bool], rate: float) -> Group:
        return Group(name, [(n, p) for n, p in named if members(p)], rate, spared)

    return [
        group("vision", lambda p: id(p) in vision, vision_lr),
        group("text", lambda p: id(p) in text, text_lr),
        group("temperature", lambda p: p is model.temperature, min(optim.lr, TEMPERATURE_RATE)),
        group("rest", lambda p: id(p) not in apart, optim.lr),
    ]


def _tables(task: nn.Module) -> Iterable[Tensor]:
    for module in task.modules():
        if isinstance(module, nn.Embedding):
            yield module.weight
        if isinstance(module, MPlug):
            yield module.vision.positions
