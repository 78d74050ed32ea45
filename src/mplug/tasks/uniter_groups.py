"""Which of a UNITER model's parameters learn at which rate: new heads may have their own."""

from torch import nn

from mplug.config.schema_uniter_run import UniterOptim
from mplug.models.uniter import Uniter
from mplug.training.task import Group

HEADS = ("answer_head", "rank_head", "compare_head", "reference_head", "entail_head")
PRETRAINING = ("itm_head", "mlm_head", "feature_head", "class_head")  # heads that no task uses


def uniter_groups(task: nn.Module, *, model: Uniter, optim: UniterOptim) -> list[Group]:
    """The trainable parameters of `task`; embeddings are spared weight decay, as are vectors."""
    heads = {
        id(parameter)
        for name in HEADS
        if isinstance(head := getattr(model, name), nn.Module)
        for parameter in head.parameters()
    }
    tables = {id(module.weight) for module in task.modules() if isinstance(module, nn.Embedding)}
    named = [(name, p) for name, p in task.named_parameters() if p.requires_grad]
    spared = frozenset(name for name, p in named if id(p) in tables)
    head_lr = optim.head_lr or optim.lr
    return [
        Group("heads", [(n, p) for n, p in named if id(p) in heads], head_lr, spared),
        Group("rest", [(n, p) for n, p in named if id(p) not in heads], optim.lr, spared),
    ]
