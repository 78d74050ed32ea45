"""The fields of a run: model, data, objectives, optimiser, schedule; unknown ones are refused."""

from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

Skill = Literal["caption", "answer", "ground", "compare", "entail"]


class Frozen(BaseModel):
    """Immutable settings; a field that does not exist is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class VisionConfig(Frozen):
    """A vision transformer: CLIP's, or the first one's (`plain`), as ALBEF and DeiT have it."""

    kind: Literal["clip", "plain"] = "clip"
    image_size: PositiveInt
    patch_size: PositiveInt
    hidden_size: PositiveInt
    num_layers: PositiveInt
    num_heads: PositiveInt
    intermediate_size: PositiveInt
    stem: Literal["patch", "convolution"] = "patch"
    stem_channels: tuple[PositiveInt, ...] = ()
    layer_norm_eps: float = 1e-5
    dropout: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.image_size % self.patch_size:
            raise ValueError(
                f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}"
            )
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}"
            )
        if self.kind == "plain" and self.stem != "patch":
            raise ValueError("a plain vision transformer has the stem patch, and no other")
        if self.stem == "convolution" and 2 ** len(self.stem_channels) != self.patch_size:
            raise ValueError(
                f"a convolution stem halves the image once per channel: stem_channels "
                f"{list(self.stem_channels)} gives stride {2 ** len(self.stem_channels)}, "
                f"patch_size says {self.patch_size}"
            )
        return self


class TextConfig(Frozen):
    """Sizes shared by the BERT-style text encoder, the fusion network and the decoder."""

    vocab_size: PositiveInt
    hidden_size: PositiveInt
    num_layers: PositiveInt
    num_heads: PositiveInt
    intermediate_size: PositiveInt
    max_positions: PositiveInt
    layer_norm_eps: float = 1e-12
    dropout: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}"
            )
        return self


class FusionConfig(Frozen):
    """How text and image meet; of the skip-connected scheme also where, and the image's update.

    The other schemes are one kind of layer throughout and leave `connected_at` and `image_update`
    unread, so that one word makes one scheme of another.
    """

    scheme: Literal["skip", "connected", "co_attention", "asymmetric"] = "skip"
    num_layers: PositiveInt
    connected_at: tuple[int, ...]
    image_update: Literal["replace", "add"] = "replace"

    @model_validator(mode="after")
    def _places_exist(self) -> Self:
        wrong = [place for place in self.connected_at if not 0 <= place < self.num_layers]
        if wrong:
            raise ValueError(f"connected_at {wrong} is outside the {self.num_layers} layers")
        return self


class DecoderConfig(Frozen):
    """The causal text decoder; its widths are the text encoder's."""

    num_layers: PositiveInt


class MPlugConfig(Frozen):
    """One mPLUG model."""

    vision: VisionConfig
    text: TextConfig
    fusion: FusionConfig
    decoder: DecoderConfig
    embed_dim: PositiveInt = 256
    image_pooling: Literal["class", "max"] = "class"
    temperature: float = Field(default=0.07, gt=0)
    skills: tuple[Skill, ...] = ()  # what the model was fine-tuned for; some bring parts along

    @model_validator(mode="after")
    def _images_differ(self) -> Self:
        places = set(range(self.fusion.num_layers)) - set(self.fusion.connected_at)
        if "compare" in self.skills and self.fusion.scheme == "skip" and not places:
            raise ValueError(
                "comparing images needs a fusion layer that is not in connected_at: a connected "
                "layer cannot tell the first image from the second"
            )
        return self


class GenerationConfig(Frozen):
    """How text is decoded; kept beside the weights."""

    beams: PositiveInt = 5
    min_tokens: int = Field(default=1, ge=0)
    max_tokens: PositiveInt = 25
    length_exponent: float = 0.6


class ScenesConfig(Frozen):
    """A world of composed scenes, drawn afresh from a seed."""

    concepts: PositiveInt = 60
    min_objects: PositiveInt = 1
    max_objects: PositiveInt = 2
    object_scale: float = Field(default=1.3, gt=0)
    artists: tuple[str, ...] = ("noto", "twemoji")
    validation_artists: tuple[str, ...] = ("emojione",)
    held_out_pairs: int = Field(default=600, ge=0)
    seed: int = 0


class DataConfig(Frozen):
    """Where examples come from: record files, or scenes rendered as they are asked for."""

    train: str | None = None
    validation: str | None = None
    scenes: ScenesConfig | None = None
    tokenizer: str | None = None
    vocab_size: PositiveInt = 8000
    max_words: PositiveInt = 30
    augment: Literal["none", "pretrain", "finetune", "recolour"] = "pretrain"
    shuffle_captions: bool = False
    max_bad_share: float = Field(default=0.01, ge=0, le=1)
    workers: int = Field(default=0, ge=0)
    validation_examples: PositiveInt = 512


class Term(Frozen):
    """One objective: its weight in the sum, how often it runs, and from which step on."""

    weight: float = Field(default=1.0, ge=0)
    every: PositiveInt = 1
    offset: int = Field(default=0, ge=0)
    start: int = Field(default=0, ge=0)


class ObjectivesConfig(Frozen):
    """The four objectives of pretraining, their teacher and queues, and the auxiliary tag loss."""

    itc: Term = Term()
    itm: Term = Term()
    mlm: Term = Term()
    prefix_lm: Term = Term()
    tags: Term = Term(weight=0.0)
    queue_size: int = Field(default=65536, ge=0)
    momentum: float = Field(default=0.995, ge=0, le=1)
    distillation: float = Field(default=0.4, ge=0, le=1)
    distillation_ramp_steps: int = Field(default=1000, ge=0)
    hard_negatives_ramp_steps: int = Field(default=0, ge=0)
    mask_share: float = Field(default=0.15, gt=0, le=1)
    empty_prefix_share: float = Field(default=0.25, ge=0.25, le=1)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)


class TaskConfig(Frozen):
    """One task among those a run fine-tunes on: how much it counts, and records of its own.

    Without records of its own it asks its questions of `data`. Of several record files, each fills
    the part of every batch that its tasks' `share`s say.
    """

    weight: float = Field(default=1.0, gt=0)
    train: str | None = None
    validation: str | None = None
    share: PositiveInt = 1
    prompt: str = ""  # what captions begin with
    box_loss: Literal["cross_entropy", "weighted"] = "cross_entropy"  # weighted: by overlap


class TasksConfig(Frozen):
    """What a run fine-tunes on: any of the tasks, each for itself or several at once."""

    retrieval: TaskConfig | None = None
    caption: TaskConfig | None = None
    answer: TaskConfig | None = None
    ground: TaskConfig | None = None
    compare: TaskConfig | None = None
    entail: TaskConfig | None = None

    @property
    def chosen(self) -> dict[str, TaskConfig]:
        """Those that are on, by name."""
        return {name: task for name in type(self).model_fields if (task := getattr(self, name))}


class SelfCriticalConfig(Frozen):
    """How captions are drawn that are then made likelier, or less likely, by what they score."""

    samples: int = Field(default=5, ge=2)  # of each picture
    draw: Literal["sample", "beam"] = "sample"
    baseline: Literal["leave_one_out", "mean", "greedy"] = "leave_one_out"


class OptimConfig(Frozen):
    """AdamW, warm-up and cosine, all counted in steps; the encoders may have rates of their own."""

    steps: PositiveInt
    batch_size: PositiveInt
    accumulate: PositiveInt = 1
    lr: float = Field(default=1e-4, gt=0)
    vision_lr: float | None = Field(default=None, ge=0)  # 0 freezes the image encoder
    text_lr: float | None = Field(default=None, ge=0)  # 0 freezes the text encoder
    warmup_steps: int = Field(default=1000, ge=0)
    final_lr_share: float = Field(default=0.01, ge=0, le=1)
    weight_decay: float = Field(default=0.02, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float = Field(default=1.0, gt=0)
    precision: Literal["float32", "bfloat16"] = "float32"

    @property
    def epsilon(self) -> float:
        """What AdamW adds to the root of its second average."""
        return 1e-8


class TrainConfig(Frozen):
    """What happens around the steps: logging, evaluation, checkpoints, randomness."""

    seed: int = 0
    log_every: PositiveInt = 20
    blind_every: PositiveInt = 200
    evaluate_every: PositiveInt = 1000
    save_every: PositiveInt = 1000
    keep: PositiveInt = 2
    choose: str | None = None  # a validation figure: the model at its best is kept, and left


class InitConfig(Frozen):
    """Encoders that others trained, for a new model to start from: folders, files or hub names."""

    text: str | None = None  # a BERT
    vision: str | None = None  # a CLIP or a vision transformer


class RunConfig(Frozen):
    """Everything that decides a run's numbers."""

    system: ClassVar[str] = "mplug"  # not a field: files written before there were others lack it

    name: str
    task: Literal["pretrain", "finetune", "self_critical"]
    tasks: TasksConfig = TasksConfig()  # what "finetune" learns
    self_critical: SelfCriticalConfig = SelfCriticalConfig()
    model: MPlugConfig
    data: DataConfig
    optim: OptimConfig
    train: TrainConfig = TrainConfig()
    objectives: ObjectivesConfig = ObjectivesConfig()
    generation: GenerationConfig = GenerationConfig()
    start_from: str | None = None
    init: InitConfig = InitConfig()

    @model_validator(mode="after")
    def _starts_once(self) -> Self:
        if self.start_from is not None and self.init != InitConfig():
            raise ValueError(
                "start_from brings both encoders: with it, init.text and init.vision must be null"
            )
        return self

    @model_validator(mode="after")
    def _tasks_fit(self) -> Self:
        chosen = ", ".join(self.tasks.chosen)
        if self.task == "finetune" and not chosen:
            raise ValueError("task finetune needs tasks, such as tasks.caption.weight=1")
        if self.task == "pretrain" and chosen:
            raise ValueError(f"task pretrain takes no tasks, but tasks has {chosen}")
        if self.task != "pretrain" and self.data.augment == "recolour":
            raise ValueError("data.augment recolour is for pretraining: tasks ask for colours")
        if self.task == "self_critical" and chosen != "caption":
            raise ValueError("task self_critical takes tasks.caption and no other task")
        return self
