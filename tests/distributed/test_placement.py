# SPDX-License-Identifier: BSD-3-Clause
from dataclasses import replace

import numpy as np
import pytest

from softmax_xp.data.rows import select_rows
from softmax_xp.distributed import plan_shards
from softmax_xp.distributed.placement import shard_specs
from softmax_xp.distributed.shards import load_shard
from softmax_xp.losses.contract import take_targets
from tests.distributed.problems import linear_over

pytest.importorskip("cloudpickle", reason="Dask is not installed")


@pytest.mark.parametrize("selected", [False, True])
def test_shards_are_the_rows_and_their_targets(tmp_path, selected):
    linear = linear_over(tmp_path)
    X, y, index = linear.X.read(slice(0, 1500)), linear.targets.labels, np.arange(0, 1500, 3)
    if selected:
        linear = replace(linear, X=select_rows(linear.X, index), targets=take_targets(linear.targets, index))
        X, y = X[index], y[index]
    plan = plan_shards(X.shape[0], 24, 130)
    shards = [load_shard(spec) for spec in shard_specs(linear, plan)]
    np.testing.assert_array_equal(np.concatenate([shard.rows for shard in shards]), X)
    np.testing.assert_array_equal(np.concatenate([shard.targets.labels for shard in shards]), y)
    assert all(shard.targets.labels.dtype == np.int64 for shard in shards)


def test_labels_travel_small(tmp_path):
    linear = linear_over(tmp_path)
    specs = shard_specs(linear, plan_shards(1500, 24, 500))
    assert [spec.targets.labels.dtype for spec in specs] == [np.uint8] * 3
    wide = replace(linear, targets=linear.targets._replace(labels=linear.targets.labels + 300))
    assert shard_specs(wide, plan_shards(1500, 24, 500))[0].targets.labels.dtype == np.uint16
