"""What `transformers` calls the weights of three models, and what they are called here."""

from collections.abc import Iterator, Mapping

from torch import Tensor

Table = Iterator[tuple[str, str]]
BOTH = ("weight", "bias")


def _linear(here: str, there: str) -> Table:
    return ((f"{here}.{each}", f"{there}.{each}") for each in BOTH)


def _attention(here: str, there: str, *, inner: str = "self", norm: bool = True) -> Table:
    for name in ("query", "key", "value"):
        yield from _linear(f"{here}.attention.{name}", f"{there}.{inner}.{name}")
    yield from _linear(f"{here}.attention.output", f"{there}.output.dense")
    if norm:
        yield from _linear(f"{here}.add.norm", f"{there}.output.LayerNorm")


def _feed_forward(here: str, widen: str, narrow: str) -> Table:
    yield from _linear(f"{here}.feed_forward.widen", f"{widen}.dense")
    yield from _linear(f"{here}.feed_forward.narrow", f"{narrow}.dense")
    yield from _linear(f"{here}.add.norm", f"{narrow}.LayerNorm")


def _layer(here: str, there: str) -> Table:
    yield from _attention(f"{here}.self_attention", f"{there}.attention")
    yield from _feed_forward(f"{here}.feed_forward", f"{there}.intermediate", f"{there}.output")


def _words(there: str) -> Table:
    yield "inputs.words.words.weight", f"{there}.word_embeddings.weight"
    yield "inputs.words.positions.weight", f"{there}.position_embeddings.weight"
    yield "inputs.words.segment", f"{there}.token_type_embeddings.weight:0"
    yield from _linear("inputs.words.norm", f"{there}.LayerNorm")


def _word_head(there: str, bias: str) -> Table:
    yield from _linear("heads.mlm.transform", f"{there}.transform.dense")
    yield from _linear("heads.mlm.norm", f"{there}.transform.LayerNorm")
    yield "heads.mlm.bias", bias


def visualbert(layers: int) -> Table:
    root = "visual_bert"
    yield from _words(f"{root}.embeddings")
    yield from _linear("inputs.image.embed.norm", f"{root}.embeddings.LayerNorm")
    yield from _linear("inputs.image.embed.feature_linear", f"{root}.embeddings.visual_projection")
    segment = f"{root}.embeddings.visual_token_type_embeddings.weight:1"
    yield (
        "inputs.image.embed.segment",
        f"{segment}+{root}.embeddings.visual_position_embeddings.weight:0",
    )
    for place in range(layers):
        yield from _layer(f"body.stack.layers.{place}", f"{root}.encoder.layer.{place}")
    yield from _linear("pool.pooler.linear", f"{root}.pooler.dense")
    yield from _word_head("cls.predictions", "cls.predictions.bias")
    yield from _linear("heads.itm", "cls.seq_relationship")


def lxmert(text: int, image: int, cross: int) -> Table:
    root = "lxmert"
    yield from _words(f"{root}.embeddings")
    seen = f"{root}.encoder.visn_fc"
    yield from _linear("inputs.image.embed.feature_linear", f"{seen}.visn_fc")
    yield from _linear("inputs.image.embed.feature_norm", f"{seen}.visn_layer_norm")
    yield from _linear("inputs.image.embed.box_linear", f"{seen}.box_fc")
    yield from _linear("inputs.image.embed.box_norm", f"{seen}.box_layer_norm")
    for place in range(text):
        yield from _layer(f"body.text.{place}", f"{root}.encoder.layer.{place}")
    for place in range(image):
        yield from _layer(f"body.image.{place}", f"{root}.encoder.r_layers.{place}")
    for place in range(cross):
        there = f"{root}.encoder.x_layers.{place}"
        for side, theirs in (("text", "lang"), ("image", "visn")):
            here = f"body.between.{place}.{side}"
            yield from _attention(
                f"{here}.cross_attention", f"{there}.visual_attention", inner="att"
            )
            yield from _attention(f"{here}.self_attention", f"{there}.{theirs}_self_att")
            yield from _feed_forward(
                f"{here}.feed_forward", f"{there}.{theirs}_inter", f"{there}.{theirs}_output"
            )
    yield from _linear("pool.pooler.linear", f"{root}.pooler.dense")
    yield from _word_head("cls.predictions", "cls.predictions.bias")
    yield from _linear("heads.itm", "cls.seq_relationship")
    for head, theirs in (("mrc", "obj"), ("mrfr", "feat")):
        yield from _linear(f"heads.{head}.transform", "obj_predict_head.transform.dense")
        yield from _linear(f"heads.{head}.norm", "obj_predict_head.transform.LayerNorm")
        yield from _linear(f"heads.{head}.output", f"obj_predict_head.decoder_dict.{theirs}")
    for name, place in (("widen", 0), ("norm", 2), ("output", 3)):
        yield from _linear(f"heads.answer.{name}", f"answer_head.logit_fc.{place}")


def vilt(layers: int) -> Table:
    root = "vilt"
    yield from _words(f"{root}.embeddings.text_embeddings")
    modality = f"{root}.embeddings.token_type_embeddings.weight"
    yield "inputs.kind", f"{modality}:0"
    yield "inputs.image.segment", f"{modality}:1"
    yield "inputs.image.class_embedding", f"{root}.embeddings.cls_token:0:0"
    yield "inputs.image.positions", f"{root}.embeddings.position_embeddings:0"
    yield from _linear("inputs.image.projection", f"{root}.embeddings.patch_embeddings.projection")
    for place in range(layers):
        here, there = f"body.stack.blocks.{place}", f"{root}.encoder.layer.{place}"
        yield from _attention(here, f"{there}.attention", inner="attention", norm=False)
        yield from _linear(f"{here}.attention_norm", f"{there}.layernorm_before")
        yield from _linear(f"{here}.feed_forward_norm", f"{there}.layernorm_after")
        yield from _linear(f"{here}.feed_forward.widen", f"{there}.intermediate.dense")
        yield from _linear(f"{here}.feed_forward.narrow", f"{there}.output.dense")
    yield from _linear("body.stack.output_norm", f"{root}.layernorm")
    yield from _linear("pool.pooler.linear", f"{root}.pooler.dense")
    yield from _word_head("mlm_score", "mlm_score.decoder.bias")


def converted(table: Table, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their weights by our names; `:0` takes a row, `+` adds."""

    def take(name: str) -> Tensor:
        key, *rows = name.split(":")
        tensor = theirs[key]
        for row in rows:
            tensor = tensor[int(row)]
        return tensor

    return {
        here: sum((take(part) for part in there.split("+")[1:]), take(there.split("+")[0]))
        for here, there in table
    }
