"""UNITER: states, every objective's elementwise values, and transport distances."""

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from mplug.models.uniter import Joint
from mplug.nn.regions import Regions
from mplug.objectives import masked_lm, matching, regions, transport
from mplug.weights.original_uniter import import_uniter
from tests.golden.compare import Tally, Tolerance
from tests.golden.reference import Entries

# The distances of matched and unmatched rows were rounded to float32.
ROUNDED = re.compile(r"ot_distance_(positive|negative)$")
TOLERANCE, ROUNDED_TOLERANCE = Tolerance(1e-12, 1e-12), Tolerance(1e-6, 0.0)


class UniterReference:
    """A folder of golden data, and the product's three passes over its inputs."""

    def __init__(self, folder: Path) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self.inputs = load_file(folder / "inputs.safetensors")
        self.expected = load_file(folder / "expected.safetensors")
        state = load_file(folder / "state_dict.safetensors")
        self.model = import_uniter(state, self.config).model.double().eval()
        self.text_mask, self.region_mask = (
            ~self.inputs[f"{kind}_padding"] for kind in ("text", "region")
        )
        self.hidden = self.inputs["region_mask"]
        self.asked = self.inputs["mlm_labels"] != -1
        self.matched = self.inputs["itm_targets"] == 1

    def encode(self, ids: str, *, hidden: Tensor | None = None) -> Joint:
        """Words of this name and the regions."""
        features, facts = self.inputs["region_features"], self.inputs["region_boxes"]
        given = Regions(features, facts[..., :4], self.region_mask)
        return self.model.encode(self.inputs[ids], self.text_mask, given, hidden=hidden)

    @cached_property
    def plain(self) -> Joint:
        """Nothing hidden."""
        return self.encode("input_ids")

    @cached_property
    def words_hidden(self) -> Tensor:
        """States of the words asked for."""
        return self.encode("masked_input_ids").text[self.asked]

    @cached_property
    def regions_hidden(self) -> Tensor:
        """States of the regions asked for."""
        return self.encode("input_ids", hidden=self.hidden).regions[self.hidden]

    def of_hidden(self, name: str) -> Tensor:
        """What the inputs hold at hidden regions."""
        return self.inputs[name][self.hidden]

    def distances(self, matched: Tensor) -> Tensor:
        """Transport distances of some rows."""
        joint = self.plain
        return transport.transport_distance(
            joint.text, joint.regions, text_mask=self.text_mask, region_mask=self.region_mask
        )[matched]


def entries(reference: UniterReference) -> Entries:
    """Every expected name, and how the product makes it."""
    model, inputs = reference.model, reference.inputs
    return {
        "hidden_states": lambda: _packed(reference.plain, inputs["gather_index"]),
        "mlm_scores": lambda: model.masked_word_logits(reference.words_hidden),
        "mlm_loss_per_token": lambda: masked_lm.word_losses(
            model.masked_word_logits(reference.words_hidden),
            inputs["mlm_labels"][reference.asked],
        ),
        "itm_scores": lambda: model.match(reference.plain.text),
        "itm_loss": lambda: matching.matching(
            model.match(reference.plain.text), inputs["itm_targets"]
        ),
        **_region_entries(reference),
        "ot_distance_positive": lambda: reference.distances(reference.matched),
        "ot_distance_negative": lambda: reference.distances(~reference.matched),
        "ot_distance_random": lambda: transport.transport_distance(
            inputs["ot_text"],
            inputs["ot_image"],
            text_mask=reference.text_mask,
            region_mask=reference.region_mask,
        ),
    }


def _region_entries(reference: UniterReference) -> Entries:
    model = reference.model
    return {
        "mrfr_loss_per_feature": lambda: regions.feature_losses(
            model.hidden_features(reference.regions_hidden),
            reference.of_hidden("region_features"),
        ),
        "mrc_loss_per_region": lambda: regions.class_losses(
            model.hidden_class_logits(reference.regions_hidden),
            reference.of_hidden("region_soft_labels"),
        ),
        "mrckl_loss_per_class": lambda: regions.class_divergences(
            model.hidden_class_logits(reference.regions_hidden),
            reference.of_hidden("region_soft_labels"),
        ),
    }


def _packed(joint: Joint, gather_index: Tensor) -> Tensor:
    """States in the reference's order: a row's regions right behind its own words."""
    states = torch.cat(joint, dim=1)
    return states.gather(1, gather_index[..., None].expand(-1, -1, states.shape[-1]))


def check_uniter(folder: Path) -> dict[str, Tally]:
    """What became of every expected value of a set."""
    reference, tally = UniterReference(folder), Tally()
    made = entries(reference)
    for name, expected in reference.expected.items():
        if name not in made:
            tally.failed(name, expected, problem="nothing reads it")
            continue
        try:
            value = made[name]()
        except Exception as error:  # whatever it is, it is this entry's failure
            tally.failed(name, expected, problem=f"{type(error).__name__}: {error}")
        else:
            allowed = ROUNDED_TOLERANCE if ROUNDED.match(name) else TOLERANCE
            tally.compare(name, value, expected, allowed=allowed)
    return {"objectives": tally}
