# SPDX-License-Identifier: BSD-3-Clause
"""Each barrier is needed, and the tests would notice if it were gone: it is taken out, and the result must change.

The CPU runs the threads of a block one after another up to the next barrier or shuffle, forwards or backwards, and
shared memory starts as NaN. So a thread that reads what another has yet to write reads NaN, or the row before.

What this cannot show: a barrier that keeps a later write from an earlier read (there the kernels use memory of its own
for each purpose, or say why the next barrier is enough), and threads of one warp, which the CPU keeps in step at each
shuffle.
"""

import re

import numpy as np
import pytest

from softmax_xp.kernels.cuda.full_batch import linear_cross_entropy
from softmax_xp.kernels.cuda.linear_steps import LinearSteps
from softmax_xp.kernels.cuda.softmax_cross_entropy import softmax_cross_entropy
from softmax_xp.kernels.cuda.source import _FOLDER
from tests.kernels.cuda.shim.fixtures import needs_compiler
from tests.kernels.cuda.shim.launcher import ShimLauncher

pytestmark = needs_compiler

NAME = re.compile(r"^.*__syncthreads\(\);  // barrier: (\w+)$", re.MULTILINE)


def long_rows(launcher, n_classes=1100):
    generator = np.random.default_rng(0)
    logits, labels = generator.standard_normal((2, n_classes)).astype(np.float32), np.array([5, n_classes - 3])
    return softmax_cross_entropy(logits, labels, label_smoothing=0.1, launcher=launcher)


def rows_read_twice(launcher):
    return long_rows(launcher, 13000)


def tied_rows(launcher):
    # The label's logit is a largest one, and a thread in the middle of the block has the same earlier in the row.
    logits = np.zeros((1, 1100), np.float32)
    logits[0, [300, 900]] = 1.0
    return softmax_cross_entropy(logits, np.array([900]), launcher=launcher)


def steps(launcher):
    generator = np.random.default_rng(0)
    X, labels = generator.standard_normal((9, 300)).astype(np.float32), generator.integers(0, 3, 9)
    packed = generator.standard_normal((301, 3)).astype(np.float32)
    linear = LinearSteps(X, labels, n_classes=3, bias=True, rule="sgd", launcher=launcher)
    scalars = np.full((1, 2), (-0.5, 0.0), np.float32)
    return packed, *linear.run(packed, (), np.arange(9), batch_size=9, scalars=scalars)


def full_batch(launcher):
    generator = np.random.default_rng(0)
    X, labels = generator.standard_normal((30, 40)).astype(np.float32), generator.integers(0, 5, 30)
    weight = generator.standard_normal((40, 5)).astype(np.float32)
    return linear_cross_entropy(weight, np.zeros(5, np.float32), X, labels, launcher=launcher)


# Each barrier by its name in the kernels' text, and work that passes it.
WORK = [
    ("block_maximum", long_rows),
    ("block_sum", long_rows),
    ("block_maximum", rows_read_twice),
    ("block_sum", rows_read_twice),
    ("scores_and_gradient", steps),
    ("block_sum", steps),
    ("weight_update", steps),
    ("logits", full_batch),
    ("gradients", full_batch),
    ("partials", full_batch),
]


def results(work, edit=str):
    """Run forwards and backwards."""
    launchers = [
        ShimLauncher(is_reversed=is_reversed, shared_bytes_limit=97 * 1024, edit=edit) for is_reversed in (False, True)
    ]
    return [np.concatenate([np.ravel(array).astype(np.float64) for array in work(it)]) for it in launchers]


@pytest.mark.parametrize(("name", "work"), WORK, ids=lambda value: getattr(value, "__name__", value))
def test_without_the_barrier_the_result_is_another(name, work):
    def without(text):
        edited = NAME.sub(lambda match: "" if match[1] == name else match[0], text)
        assert edited != text
        return edited

    right, broken = results(work), results(work, without)
    np.testing.assert_array_equal(right[0], right[1])  # the order of the threads does not matter
    assert not all(np.array_equal(a, b) for a, b in zip(right, broken, strict=True))


def test_a_thread_must_hear_of_ties_that_others_found():
    def alone(text):
        return text.replace("__syncthreads_or(is_earlier_top)", "is_earlier_top")

    right, broken = results(tied_rows), results(tied_rows, alone)
    assert not any(np.array_equal(a, b) for a, b in zip(right, broken, strict=True))


def test_every_barrier_has_a_name_and_is_taken_out_above():
    texts = [path.read_text(encoding="utf-8") for path in sorted(_FOLDER.glob("*.cu*"))]
    names = [name for text in texts for name in NAME.findall(text)]
    barriers = sum(len(re.findall(r"__sync\w+\(", text)) for text in texts)
    assert barriers == len(names) + 1  # and the one that asks about ties
    assert len(set(names)) == len(names)
    assert set(names) == {name for name, _ in WORK}
