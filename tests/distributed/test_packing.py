# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

from softmax_xp.data.source import ArraySource
from softmax_xp.distributed.packing import pack, source_of_bytes, unpack, without_labels
from softmax_xp.losses.contract import reciprocal_total
from softmax_xp.objectives.cuts import Cuts
from softmax_xp.objectives.remote import ShardPass
from tests.distributed.problems import linear_over

pytest.importorskip("cloudpickle", reason="Dask is not installed")
CUTS = Cuts(4, 1, False, None, 1, False)


def test_a_pass_is_as_large_with_many_samples_as_with_few(tmp_path):
    sizes = []
    for n_samples in (100, 20_000):
        linear = linear_over(tmp_path, n_samples=n_samples)
        sizes.append(len(pack(ShardPass(lambda chunk, linear=linear: (linear.rows(chunk[0]),), linear, CUTS))))
    assert abs(sizes[1] - sizes[0]) < 64
    assert sizes[1] < 10_000


def test_the_function_meets_the_backend_of_the_destination(tmp_path):
    linear = linear_over(tmp_path)
    backend, weight = linear.backend, np.ones(6, dtype=np.float32)

    def function(chunk):
        return backend.xp.sum(linear.rows(chunk[0]) @ weight), linear.backend is not None

    work = unpack(pack(ShardPass(function, linear, CUTS)), backend)
    rows = linear.X.read(slice(0, 50))
    targets = linear.targets._replace(labels=linear.targets.labels[:50])
    total, alive = work.sum_over(rows, targets, threads=1)
    assert total == pytest.approx(rows.sum(), rel=1e-5)
    assert alive
    assert work.linear.X.shape == (1500, 6)


def test_a_function_that_needs_all_targets_fails_rather_than_sums_over_none(tmp_path):
    linear = linear_over(tmp_path)
    work = unpack(pack(ShardPass(lambda chunk: (reciprocal_total(linear.targets),), linear, CUTS)), linear.backend)
    with pytest.raises(AttributeError, match="must not use weight of all targets"):
        work.function(None)


def test_a_source_travels_without_its_labels():
    source = ArraySource(np.zeros((10, 2)), labels=np.arange(10))
    found = source_of_bytes(without_labels(source))
    assert found.shape == (10, 2)
    assert found.labels is None
    assert source.labels is not None
