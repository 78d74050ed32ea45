"""The page on the field's models: each with its parts, and what is exact, approximated, missing."""

from collections.abc import Iterator

import torch
from torch import nn

from mplug.config.recipes import any_recipe
from mplug.config.recipes_zoo import MODELS, OBJECTIVES
from mplug.config.schema import RunConfig
from mplug.config.schema_clip_run import ClipRun
from mplug.config.schema_uniter_run import UniterRun
from mplug.config.zoo_rows import MISSING, ROWS, Row
from mplug.interfaces.zoo_api import verbs_of
from mplug.models.clip import Clip
from mplug.models.mplug import MPlug
from mplug.models.uniter import Uniter
from mplug.tasks.zoo_pretrain import make_model

TITLE = """# The field's models as recipes

Fifteen of the 23 models of the overview table are put together from the same parts: ways in for
words and pictures, bodies in which they meet, objectives. Three parts made most of them possible:
co-attention between streams of unequal widths (`nn/co_attention.py`), a prefix mask by which one
stack reads and writes (`nn/masks.py`), and batches of texts alone and pictures alone
(`data/joint_batch.py`). Sizes are in `config/zoo.py`, objectives in `config/recipes_zoo.py`; the
recipes that end in `-scenes` have the same parts small, and learn scenes on two cores:

```bash
mplug train vilt-scenes
mplug train vilt-scenes start_from=runs/vilt-scenes name=longer
```

A recipe means the same architecture and losses, not the published weights. This page is written
by `python scripts/zoo_page.py`.
"""

ASKING = """## Asking one

`mplug.load` gives a run's model. It does what its objectives taught it, and says of all else that
it has not learned it; `model.verbs` names what it has.

```python
import mplug

model = mplug.load("runs/vilt-scenes")
model.verbs                                                   # ('match', 'fill')
model.match("photo.jpg", ["a red trophy", "two boats"])       # probabilities of belonging together
model.rank("photo.jpg", ["a red trophy", "two boats"])        # best first
model.fill("photo.jpg", "a [MASK] trophy", best=3)            # [{'red': 0.61, ...}]

writer = mplug.load("runs/simvlm-scenes")
writer.caption("photo.jpg", prompt="a red", max_tokens=8)     # 'a red trophy left of an avocado'
```

Pictures are taken as in [python.md](python.md). A model of regions takes files of regions as well,
and looks at raw pictures in boxes or a grid, as UNITER's does ([uniter.md](uniter.md)). What
matching means is what was learned: VisualBERT's tells whether a second caption is of a picture
with a first one, which `caption=` gives; OSCAR's whether names of things belong to a picture and
its caption, `tags=`. Captions are written by beam search; a single stack reads all anew for each
word. A run that was saved before `verbs` existed says nothing of what it learned, and is asked
nothing.
"""


def published_model(row: Row) -> nn.Module:
    """A row's model at its published size, without memory for its weights."""
    with torch.device("meta"):
        name = row.recipe.removesuffix("-scenes")
        if name in MODELS:
            return make_model(MODELS[name]())
        run = any_recipe(row.recipe)
        if isinstance(run, ClipRun):
            return Clip(run.model)
        if isinstance(run, UniterRun):
            return Uniter(run.model)
        assert isinstance(run, RunConfig)
        return MPlug(run.model)


def millions(model: nn.Module, *, without: tuple[str, ...] = ()) -> float:
    """How many parameters there are, in millions, without those whose names begin so."""
    counted = (p.numel() for name, p in model.named_parameters() if not name.startswith(without))
    return sum(counted) / 1e6


def page() -> str:
    """The whole page."""
    asked = [ASKING, *_verbs()]
    return "\n".join([TITLE, *_table(), "", *asked, "", *_sizes(), "", *_missing(), ""])


def _table() -> Iterator[str]:
    yield "| model | recipe | picture | text | where they meet | learns |"
    yield "|---|---|---|---|---|---|"
    for row in ROWS:
        yield (
            f"| {row.title} | `{row.recipe}` | {row.image} | {row.text} | {row.meet} "
            f"| {row.objectives} |"
        )


def _verbs() -> Iterator[str]:
    yield "| model | can be asked to |"
    yield "|---|---|"
    for row in ROWS:
        name = row.recipe.removesuffix("-scenes")
        if name in MODELS:
            yield f"| {row.title} | {', '.join(verbs_of(OBJECTIVES[name].chosen))} |"


def _sizes() -> Iterator[str]:
    yield "## What is exact, what is approximated"
    yield ""
    yield (
        "Parameters are in millions, of the published size; the count beside a published one "
        "leaves out what that leaves out."
    )
    yield ""
    yield "| model | parameters | published | exact | approximated |"
    yield "|---|---|---|---|---|"
    for row in ROWS:
        model = published_model(row)
        published = "unknown"
        if row.published is not None:
            same = millions(model, without=row.published.without)
            published = f"{row.published.millions:g} ({row.published.source}); here {same:.1f}"
        yield (
            f"| {row.title} | {millions(model):.1f} | {published} | {row.exact} "
            f"| {row.approximated} |"
        )


def _missing() -> Iterator[str]:
    yield "## What the other eight would need"
    yield ""
    yield "| model | missing |"
    yield "|---|---|"
    for row in MISSING:
        yield f"| {row.title} | {row.needs} |"
