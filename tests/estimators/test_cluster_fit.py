# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.data.source import ArraySource
from softmax_xp.errors import InvalidTypeError, InvalidValueError, SmallDataWarning
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


def test_dask_data_frames_are_fitted_with_their_names_by_processes():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    dd = pytest.importorskip("dask.dataframe", reason="Dask's data frames are not installed")
    whole = pandas.DataFrame(X, columns=list("abcdef")).assign(count=np.arange(1500) % 7, name=NAMES)
    with cluster_of(2, processes=True) as client:
        # All rows; some of them, where the sizes of partitions are unknown and the first one is empty.
        for rows in (slice(None), (whole["count"] > 2) & (whole.index >= 400)):
            spread = dd.from_pandas(whole, npartitions=5)
            if not isinstance(rows, slice):
                spread = spread[(spread["count"] > 2) & (spread.index >= 400)]
            found = sx.SoftmaxClassifier(tol=1e-9).fit(spread.drop(columns="name"), spread["name"], client=client)
            frame, names = whole[rows].drop(columns="name"), whole[rows]["name"]
            expected = sx.SoftmaxClassifier(tol=1e-9).fit(frame, names)
            assert found.certificate_.bound < 1e-9
            assert found.classes_.tolist() == ["ant", "bee", "cat", "dog"]
            assert found.feature_names_in_.tolist() == [*"abcdef", "count"]
            np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-6)
            assert (found.predict(frame) == expected.predict(frame)).all()


@pytest.mark.filterwarnings("default::softmax_xp.errors.SmallDataWarning")
def test_the_warning_about_small_data_points_at_the_users_line(client):
    with pytest.warns(SmallDataWarning, match="Fit without `client`") as caught:
        sx.SoftmaxClassifier(solver="lbfgs", tol=1e-6).fit(ArraySource(X), NAMES, client=client)
    assert caught[0].filename == __file__


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
