# SPDX-License-Identifier: BSD-3-Clause
import pytest

from benchmarks import distributed_fit

pytest.importorskip("distributed", reason="Dask is not installed")


def test_few_and_many_samples_are_timed(tmp_path):
    table = distributed_fit.measure(3000, passes=3)
    few, many = table.lines
    assert [few.cells["samples"], many.cells["samples"]] == ["512", "3000"]
    for line in table.lines:
        assert line.record["cluster_seconds"] > line.record["worker_seconds"] > 0.0
        assert line.cells["overhead"].endswith("s")
        # Two workers gain no more than twofold.
        assert 0.0 < float(line.cells["efficiency"]) < 1.5
