"""The fusion network that a configuration names."""

from torch import nn

from mplug.config.schema import FusionConfig, TextConfig
from mplug.nn.fusion import skip_connected, uniform


def fusion_network(config: FusionConfig, text: TextConfig) -> nn.ModuleList:
    """Its layers, as wide as the text: each maps (text, image, their masks) to (text, image)."""
    sizes = {
        "dim": text.hidden_size,
        "num_heads": text.num_heads,
        "hidden_dim": text.intermediate_size,
    }
    if config.scheme != "skip":
        return uniform(
            config.num_layers,
            scheme=config.scheme,
            eps=text.layer_norm_eps,
            dropout=text.dropout,
            **sizes,
        )
    return skip_connected(
        config.num_layers,
        connected_at=config.connected_at,
        add_image=config.image_update == "add",
        eps=text.layer_norm_eps,
        dropout=text.dropout,
        **sizes,
    )
