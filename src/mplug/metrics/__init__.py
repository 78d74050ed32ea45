"""Text and numbers in, scores out: numpy only, usable without a model."""
