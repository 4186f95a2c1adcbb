# SPDX-License-Identifier: BSD-3-Clause
"""A cluster in threads of the test's own process, which starts in a tenth of a second; test_faults.py has processes."""

import contextlib
import warnings

import pytest


@contextlib.contextmanager
def cluster_of(n_workers, *, processes=False, **options):
    """Start a cluster, and connect to it."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    with warnings.catch_warnings():
        # Of Dask's own, at start and end: ports that are taken, tasks that were pending.
        warnings.simplefilter("ignore")
        with (
            distributed.LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                processes=processes,
                dashboard_address=":0",
                **options,
            ) as cluster,
            distributed.Client(cluster, timeout=30) as client,
        ):
            yield client


@pytest.fixture(scope="module")
def client():
    with cluster_of(2) as client:
        yield client
