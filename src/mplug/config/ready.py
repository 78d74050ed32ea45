"""What a run must have before it can start, and what its evaluations are of."""

from mplug.config import edit
from mplug.config.schema import RunConfig
from mplug.config.schema_clip import CausalTextConfig, ResNetConfig
from mplug.config.schema_clip_run import ClipRun
from mplug.config.schema_uniter_run import UniterRun
from mplug.config.schema_zoo_run import ZooRun
from mplug.config.systems import AnyRun
from mplug.errors import ConfigError

RECALLS = tuple(f"validation_recall_at_1_{way}" for way in ("image_to_text", "text_to_image"))


def require_ready(config: AnyRun, *, processes: int = 1) -> None:
    """Refuse a run that cannot start, before anything slow happens.

    Raises:
        ConfigError: nothing to learn from is named, or too much; captions exceed positions; a
            batch cannot be split as asked; no evaluation has the figure to choose the model by.
    """
    if isinstance(config, ClipRun):
        _require_clip(config, processes=processes)
    elif isinstance(config, UniterRun):
        _require_source(config)
        _require_one_source(config)
        _require_room(config, positions=config.model.text.max_positions)
    elif isinstance(config, ZooRun):
        _require_room(config, positions=config.model.text.max_positions)
    else:
        _require_mplug(config)
    size, parts = config.optim.batch_size, config.optim.accumulate
    if size % (parts * processes):
        raise ConfigError(
            f"optim.batch_size = {size} does not split into optim.accumulate = {parts} parts on "
            f"{processes} processes: make it a multiple of {parts * processes}"
        )
    figures = validation_figures(config)
    if config.train.choose is not None and config.train.choose not in figures:
        raise ConfigError(
            f"train.choose = {config.train.choose!r}: this run is not evaluated by that"
            f"{edit.did_you_mean(config.train.choose, figures)} (it is by {', '.join(figures)})"
        )


def validation_figures(config: AnyRun) -> list[str]:
    """The losses and scores on validation data that a run's evaluations have."""
    if isinstance(config, ClipRun):
        return ["validation_itc", *RECALLS]
    if isinstance(config, UniterRun):
        learned = config.tasks.chosen or config.objectives.mix.shares
        return [f"validation_{name}" for name in learned]
    if isinstance(config, ZooRun):
        return [f"validation_{name}" for name in config.objectives.chosen]
    if config.task == "self_critical":
        return ["validation_cider_d"]
    tasks = [name for name in config.tasks.chosen if name != "retrieval"]
    figures = [f"validation_{name}" for name in tasks]
    if config.task == "pretrain" or config.tasks.retrieval is not None:
        figures += [
            f"validation_{name}"
            for name in ("itc", "itm", "mlm", "prefix_lm")
            if getattr(config.objectives, name).weight > 0
        ]
        figures += RECALLS
    return figures


def _require_mplug(config: RunConfig) -> None:
    tasks = config.tasks.chosen.values()
    own = bool(tasks) and all(task.train is not None for task in tasks)
    if not own:
        _require_source(config)
    _require_one_source(config)
    _require_room(config, positions=config.model.text.max_positions)


def _require_clip(config: ClipRun, *, processes: int) -> None:
    _require_source(config)
    _require_one_source(config)
    if isinstance(config.model.text, CausalTextConfig):
        _require_room(config, positions=config.model.text.max_positions)
    optim, vision = config.optim, config.model.vision
    batch_statistics = isinstance(vision, ResNetConfig) or vision.stem == "convolution"
    if optim.cached_parts > 1 and batch_statistics:
        raise ConfigError(
            f"optim.cached_parts = {optim.cached_parts}: this image encoder learns from the "
            "statistics of its batch, and a part's are others: use more processes, or an encoder "
            "with stem patch"
        )
    share = optim.batch_size // (optim.accumulate * processes)
    if share % optim.cached_parts:
        raise ConfigError(
            f"optim.cached_parts = {optim.cached_parts} does not divide the {share} pairs that a "
            "process has at once (optim.batch_size over optim.accumulate and processes)"
        )


def _require_source(config: RunConfig | ClipRun | UniterRun) -> None:
    if config.data.train is None and config.data.scenes is None:
        raise ConfigError(
            "data.train is not set: name your records, such as data.train=captions.jsonl "
            "(`mplug data sample DIR` makes some to try)"
        )


def _require_one_source(config: RunConfig | ClipRun | UniterRun) -> None:
    data = config.data
    if data.train is not None and data.scenes is not None:
        raise ConfigError(
            f"data.train = {data.train!r} and data.scenes are both set; "
            "to learn from the records, add data.scenes=null"
        )


def _require_room(config: AnyRun, *, positions: int) -> None:
    words = config.data.max_words
    if words + 2 > positions:
        raise ConfigError(
            f"data.max_words = {words} and its start and end do not fit into "
            f"model.text.max_positions = {positions}"
        )
