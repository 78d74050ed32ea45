"""Randomness as a function of where a run is, so that resuming has no generator to restore."""

import hashlib
import random

import numpy as np
import torch


def seed_all(seed: int, *place: int) -> None:
    """Seed the global generators of torch (all devices), numpy and Python from `seed` and `place`.

    `place` is for example (step, part, rank). Seeding before every step makes dropout the same in
    an interrupted run and in one that was not, and keeps evaluation from disturbing training.
    """
    digest = hashlib.blake2b(repr((seed, *place)).encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "little") >> 1  # torch takes a signed 64-bit integer
    torch.manual_seed(number)
    random.seed(number)
    np.random.seed(number & 0xFFFFFFFF)
