# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

from softmax_xp.distributed import plan_shards
from softmax_xp.distributed.placement import shard_specs
from softmax_xp.distributed.shards import balanced, load_shard
from softmax_xp.errors import InvalidValueError, ShardError
from tests.distributed.problems import linear_over

pytest.importorskip("cloudpickle", reason="Dask is not installed")


@pytest.mark.parametrize(
    ("n_samples", "row_bytes", "n_shards"), [(1, 8, 1), (256, 8, 1), (10_000, 8, 16), (1 << 24, 1024, 256)]
)
def test_shards_are_cut_by_the_size_of_the_data(n_samples, row_bytes, n_shards):
    plan = plan_shards(n_samples, row_bytes)
    assert (plan.n_shards, plan.n_samples, plan.bounds[0]) == (n_shards, n_samples, 0)
    assert plan.rows(0).stop * row_bytes <= 1 << 26


def test_neighbours_are_dealt_to_one():
    assert [list(part) for part in balanced(5, 2)] == [[0, 1], [2, 3, 4]]
    assert [list(part) for part in balanced(1, 3)] == [[], [], [0]]


def test_a_block_must_have_the_rows_that_its_array_says(tmp_path):
    spec = shard_specs(linear_over(tmp_path), plan_shards(1500, 24, 500), has_blocks=True)[1]
    assert load_shard(spec, np.ones((500, 6))).rows.shape == (500, 6)
    with pytest.raises(ShardError, match=r"rows 500 to 999 of .* have shape \(499, 6\)"):
        load_shard(spec, np.ones((499, 6)))
    bad = np.ones((500, 6))
    bad[7, 2] = np.inf
    with pytest.raises(InvalidValueError, match="got inf at row 507, column 2"):
        load_shard(spec, bad)
