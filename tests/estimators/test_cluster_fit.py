# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.data.source import ArraySource
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from tests.distributed.conftest import cluster_of
from tests.distributed.problems import samples

pytest.importorskip("distributed", reason="Dask is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::softmax_xp.errors.SmallDataWarning")
X, y = samples(dtype=np.float64)
NAMES = np.asarray(["ant", "bee", "cat", "dog"])[y]


@pytest.fixture(scope="module")
def client():
    with cluster_of(2) as client:
        yield client


def in_memory(**options):
    return sx.SoftmaxClassifier(tol=1e-9).fit(X, NAMES, **options)


def test_a_dask_array_without_a_client_says_what_to_start():  # the first test: no client is there yet
    da = pytest.importorskip("dask.array", reason="Dask's arrays are not installed")
    with pytest.raises(InvalidValueError, match=r"Call distributed\.Client\(\) before"):
        sx.SoftmaxClassifier().fit(da.from_array(X), NAMES)


def test_a_fit_of_a_file_by_workers_is_certified_and_that_of_one_process(tmp_path, client):
    np.save(tmp_path / "X.npy", X)
    found, expected = sx.SoftmaxClassifier(tol=1e-9).fit(tmp_path / "X.npy", NAMES, client=client), in_memory()
    assert found.certificate_.bound < 1e-9
    assert found.status_ == "certified"
    assert found.classes_.tolist() == expected.classes_.tolist()
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-4)
    assert (found.predict(X) == expected.predict(X)).mean() > 0.999


def test_a_dask_array_is_fitted_block_by_block(client):
    da = pytest.importorskip("dask.array", reason="Dask's arrays are not installed")
    rows = da.from_array(X, chunks=(400, 4))  # cut between columns too
    found = sx.SoftmaxClassifier(tol=1e-9).fit(rows, da.from_array(NAMES, chunks=500))  # the client is the current one
    assert found.certificate_.bound < 1e-9
    np.testing.assert_allclose(found.coef_, in_memory().coef_, atol=1e-4)


def test_blocks_of_unknown_size_and_empty_ones_are_fine(client):
    da = pytest.importorskip("dask.array", reason="Dask's arrays are not installed")
    rows = da.from_array(X, chunks=(300, 6))
    some = rows[(da.arange(1500, chunks=300) < 300) | (da.arange(1500, chunks=300) >= 900)]
    chosen = np.r_[0:300, 900:1500]
    found = sx.SoftmaxClassifier(tol=1e-9).fit(some, NAMES[chosen], client=client)
    expected = sx.SoftmaxClassifier(tol=1e-9).fit(X[chosen], NAMES[chosen])
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-4)


def test_weights_of_zero_leave_rows_out(tmp_path, client):
    np.save(tmp_path / "X.npy", X)
    weight = np.random.default_rng(0).integers(0, 3, X.shape[0]).astype(float)
    found = sx.SoftmaxClassifier(tol=1e-9).fit(tmp_path / "X.npy", NAMES, weight, client=client)
    np.testing.assert_allclose(found.coef_, in_memory(sample_weight=weight).coef_, atol=1e-4)
    da = pytest.importorskip("dask.array", reason="Dask's arrays are not installed")
    with pytest.raises(InvalidValueError, match="must be above 0 for a Dask array"):
        sx.SoftmaxClassifier().fit(da.from_array(X), NAMES, weight, client=client)


@pytest.mark.parametrize("options", [{"l1_ratio": 1.0}, {"C": np.inf, "stopping": "gradient"}, {"dtype": "float32"}])
def test_penalties_and_floats_are_those_of_any_fit(client, options):
    source = ArraySource(X)
    found = sx.SoftmaxClassifier(tol=1e-6, **options).fit(source, NAMES, client=client)
    expected = sx.SoftmaxClassifier(tol=1e-6, **options).fit(X, NAMES)
    assert found.status_ == expected.status_
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=2e-2)


def test_soft_targets_and_two_classes_travel_too(client):
    soft = np.abs(np.random.default_rng(0).standard_normal((1500, 3)))
    soft /= soft.sum(axis=1, keepdims=True)
    for target in (soft, y < 2):
        found = sx.SoftmaxClassifier(tol=1e-9).fit(ArraySource(X), target, client=client)
        np.testing.assert_allclose(found.coef_, sx.SoftmaxClassifier(tol=1e-9).fit(X, target).coef_, atol=1e-4)


def test_what_no_cluster_can_do_is_refused_before_anything_is_sent(client):
    with pytest.raises(InvalidTypeError, match="must be a path, a source or a Dask array for a fit with `client`"):
        sx.SoftmaxClassifier().fit(X, NAMES, client=client)
    with pytest.raises(InvalidValueError, match="must be a full-batch solver on a cluster; got 'adam'"):
        sx.SoftmaxClassifier(solver="adam").fit(ArraySource(X), NAMES, client=client)
