# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

import softmax_xp as sx
from benchmarks import gpu_arrays
from benchmarks.gpu_arrays import copies, fill_with_nan, random_array, random_labels, relative_error
from benchmarks.gpu_bench import QUICK, Bench


@pytest.fixture
def bench():
    return Bench(sx.get_backend("cpu"), QUICK, with_compile=False)


def test_random_numbers_are_normal_and_never_all_zero(bench):
    array = random_array(bench, 300, 400, scale=2.0)
    assert (array.shape, array.dtype) == ((300, 400), np.float32)
    assert array.flags.c_contiguous
    assert array.mean() == pytest.approx(0.0, abs=0.05)
    assert array.std() == pytest.approx(2.0, abs=0.05)
    assert np.unique(array).size > 60_000


def test_random_arrays_repeat_a_block_but_not_their_rows(bench):
    array = random_array(bench, 3, 65536)  # larger than the block, and a power of two
    assert len({row.tobytes() for row in array}) == 3
    np.testing.assert_array_equal(array, random_array(bench, 3, 65536))
    assert (random_array(bench, 50, shift=1) != random_array(bench, 50)).all()


def test_a_block_that_ends_within_the_array_goes_on_at_its_start(bench):
    tail = random_array(bench, 10, shift=gpu_arrays._SMALL_BLOCK - 4)
    np.testing.assert_array_equal(tail[4:], random_array(bench, 6))


def test_random_arrays_are_not_views_of_the_block(bench):
    random_array(bench, 8)[...] = 0.0
    assert random_array(bench, 8).all()


def test_labels_are_classes(bench):
    labels = random_labels(bench, 1000, 7)
    assert set(np.unique(labels)) == set(range(7))


def test_copies_are_larger_than_a_cache(bench):
    array = random_array(bench, 64, 64)
    held = copies(bench, array)
    assert sum(copy.nbytes for copy in held) >= QUICK.rotation_bytes
    assert not any(np.shares_memory(held[0], copy) for copy in held[1:])
    assert held[0] is array


def test_an_error_is_relative_to_the_largest_number(bench):
    expected = np.array([2.0, -4.0])
    assert relative_error(bench, np.array([2.0, -4.0], dtype=np.float32), expected) == 0.0
    assert relative_error(bench, np.array([2.0, -3.0], dtype=np.float32), expected) == 0.25
    assert np.isnan(relative_error(bench, np.array([np.nan, -4.0]), expected))
    assert relative_error(bench, np.array([True, False]), np.array([0.0, 0.0])) > 1e6


def test_memory_is_filled_with_nan(bench, monkeypatch):
    made = []
    full = bench.xp.full
    monkeypatch.setattr(
        bench,
        "xp",
        type(
            "Xp",
            (),
            {
                "float32": np.float32,
                "full": staticmethod(
                    lambda *arguments, **options: made.append(full(*arguments, **options)) or made[-1]
                ),
            },
        ),
    )
    fill_with_nan(bench, (2, 3), (4,))
    assert [array.shape for array in made] == [(2, 3), (4,)]
    assert all(np.isnan(array).all() for array in made)
