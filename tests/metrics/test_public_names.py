"""What `from mplug.metrics import ...` gives, and that it needs numpy alone."""

import subprocess
import sys

import numpy as np
import pytest

import mplug.metrics
from mplug.metrics import (
    bleu,
    cider_d,
    ground_truth,
    grounding_accuracy,
    ptb_tokens,
    recall,
    rouge_l,
    vqa_accuracy,
)


def test_captions_are_scored_from_text_in_a_few_lines() -> None:
    candidates = [ptb_tokens("A cat sleeps."), ptb_tokens("Two dogs")]
    references = [[ptb_tokens("a cat sleeps")], [ptb_tokens("two dogs run")]]
    assert bleu(candidates, references).per_image[0, :3] == pytest.approx([1, 1, 1])
    assert rouge_l(candidates, references)[0] == pytest.approx(1)
    assert cider_d(candidates, references).shape == (2,)


def test_every_listed_name_is_callable() -> None:
    assert all(callable(getattr(mplug.metrics, name)) for name in mplug.metrics.__all__)
    assert {bleu, vqa_accuracy, grounding_accuracy} <= {
        getattr(mplug.metrics, name) for name in mplug.metrics.__all__
    }


def test_recall_takes_similarities() -> None:
    assert recall(np.eye(3), ground_truth([0, 1, 2], images=3), k=1) == 1


def test_nothing_but_numpy_is_imported() -> None:
    code = (
        "import sys; known = set(sys.stdlib_module_names) | {'numpy', 'mplug'}\n"
        "import numpy.random; before = set(sys.modules)\n"
        "import mplug.metrics\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "sys.exit(', '.join(sorted(new - known)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
