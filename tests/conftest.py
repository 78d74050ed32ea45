"""Settings every test runs under: shapes are checked, one thread, no network."""

import os

# Before torch is imported: two test processes on two cores must not fight over threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

from jaxtyping import install_import_hook

# Every jaxtyping shape in the package is enforced while tests run.
install_import_hook("mplug", "beartype.beartype")
