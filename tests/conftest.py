"""Settings every test runs under: shapes are checked, one thread, no network."""

import os

# Before torch is imported: two test processes on two cores must not fight over threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

from jaxtyping import install_import_hook

import tests.shapes  # noqa: F401 - the hook below names it

# Every jaxtyping shape is enforced while tests run. Modules without tensors are left alone.
CHECKED = (
    "data.batch",
    "data.dataset",
    "data.loader",
    "data.transforms",
    "inference",
    "metrics",
    "models",
    "nn",
    "objectives",
    "tasks",
    "training",
    "weights",
)
install_import_hook([f"mplug.{folder}" for folder in CHECKED], "tests.shapes.check")
