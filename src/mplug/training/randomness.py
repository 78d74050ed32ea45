"""Randomness as a function of where a run is, so that resuming has no generator to restore."""

import hashlib
import random

import numpy as np
import torch


def seed_all(seed: int, *place: int, device: torch.device) -> None:
    """Seed the global generators of torch (processor and `device`), numpy and Python.

    `place` is for example (step, part, rank). Seeding before every step makes dropout the same in
    an interrupted run and in one that was not, and keeps evaluation from disturbing training.
    """
    digest = hashlib.blake2b(repr((seed, *place)).encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "little") >> 1  # torch takes a signed 64-bit integer
    # torch.manual_seed would also note a stack trace for each kind of device that is not in use.
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)
    random.seed(number)
    np.random.seed(number & 0xFFFFFFFF)
