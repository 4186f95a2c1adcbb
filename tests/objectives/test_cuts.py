# SPDX-License-Identifier: BSD-3-Clause
"""Budgets and the end of memory: results stay what they were, and allocations stay below."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from softmax_xp import losses
from softmax_xp.backend import Backend, Capabilities
from softmax_xp.data import sparse
from softmax_xp.data.sparse_source import CsrArraySource
from softmax_xp.data.streamed import stream_matrix
from softmax_xp.errors import InvalidValueError
from softmax_xp.losses import CrossEntropy
from softmax_xp.objectives import ConvexObjective, LinearObjective, cuts
from softmax_xp.objectives.cuts import cut_rows, footprint_of, plan_pass, rows_at_once
from softmax_xp.ops.memory import least_budget
from softmax_xp.penalties import L2, ElasticNet
from softmax_xp.typing import LinearParams

N_SAMPLES, N_FEATURES, N_CLASSES = 300, 7, 500
RNG = np.random.default_rng(12)
X = RNG.standard_normal((N_SAMPLES, N_FEATURES))
LABELS = RNG.integers(0, N_CLASSES, N_SAMPLES)
PARAMS = LinearParams(RNG.standard_normal((N_FEATURES, N_CLASSES)), RNG.standard_normal(N_CLASSES))


def make(dtype="float64", *, X=X, penalty=None, budget=None, loss=None, transform=None):
    loss = loss or CrossEntropy()
    kind = np.dtype(dtype)
    X = X if sp.issparse(X) else np.asarray(X, dtype=None if transform else kind)
    targets = loss.prepare(LABELS, N_CLASSES, dtype=kind)
    return LinearObjective(X, targets, loss, penalty, kind, transform, memory_budget=budget)


def params_in(dtype):
    return LinearParams(*(part.astype(dtype) for part in PARAMS))


def least_of(objective):
    return least_budget(footprint_of(objective, N_CLASSES))


def peak_of(function):
    function()  # what is made once for the process is not counted
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(params=[1, 2])
def threads(request):
    with threadpool_limits(request.param, user_api="blas"):
        yield request.param


@pytest.fixture(params=["1", "0"])
def kernels(request, monkeypatch):
    monkeypatch.setenv("SOFTMAX_XP_KERNELS", request.param)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("penalty", [None, L2(0.1), ElasticNet(0.1, 0.2)])
@pytest.mark.parametrize("factor", [1.0, 1.3, 3.0, 20.0])
def test_an_evaluation_stays_within_its_budget(threads, kernels, dtype, penalty, factor):
    budget = int(factor * least_of(make(dtype, penalty=penalty)))
    objective, params = make(dtype, penalty=penalty, budget=budget), params_in(dtype)
    objective.check_budget(N_CLASSES)
    for evaluate in (objective.value_and_gradient, objective.evaluate):
        assert peak_of(lambda evaluate=evaluate: evaluate(params)) <= budget


@pytest.mark.parametrize("penalty", [L2(0.1), ElasticNet(0.1, 0.2)])
def test_the_measurement_sees_an_evaluation_without_a_budget(penalty):
    objective = make(penalty=penalty)
    assert peak_of(lambda: objective.value_and_gradient(PARAMS)) > 2 * least_of(objective)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_convex_pass_stays_within_its_budget(threads, kernels, dtype, fit_intercept):
    budget = 2 * least_of(make(dtype))
    objective = ConvexObjective(make(dtype, budget=budget), N_CLASSES, l2=0.1, fit_intercept=fit_intercept)
    point = objective.point(params_in(dtype))
    assert peak_of(lambda: objective.value_and_gradient(point)) <= budget


def test_converted_and_transformed_rows_count():
    wide = np.asarray(RNG.integers(0, 255, (N_SAMPLES, 3000)), dtype="uint8")
    objective = make("float64", X=wide, transform=lambda rows: rows - 1.0)
    objective = dataclasses.replace(objective, memory_budget=int(1.2 * least_of(objective)))
    params = LinearParams(np.zeros((3000, N_CLASSES)))
    assert peak_of(lambda: objective.value_and_gradient(params)) <= objective.memory_budget


@pytest.mark.parametrize("factor", [1.0, 1.5, 5.0])
def test_sparse_rows_stay_within_a_budget_and_give_the_same(threads, factor):
    dense = X * (RNG.random(X.shape) < 0.5)
    objective = make(X=sp.csr_array(dense))
    expected = objective.value_and_gradient(PARAMS)
    objective = dataclasses.replace(objective, memory_budget=int(factor * least_of(objective)))
    value, gradient = objective.value_and_gradient(PARAMS)
    np.testing.assert_allclose(value, expected[0], rtol=1e-13)
    np.testing.assert_allclose(gradient.weight, expected[1].weight, rtol=1e-11, atol=1e-14)
    assert peak_of(lambda: objective.value_and_gradient(PARAMS)) <= objective.memory_budget


@pytest.mark.parametrize("factor", [1.1, 1000.0])
def test_any_budget_gives_the_same_numbers(backend, factor):
    loss = CrossEntropy()
    put, kind = backend.asarray, backend.xp.float32
    given = make("float32")
    objective = LinearObjective(
        put(X.astype("float32")), loss.prepare(put(LABELS), N_CLASSES, dtype=kind), loss, L2(0.1), kind
    )
    params = LinearParams(*(put(part) for part in params_in("float32")))
    expected, accuracy = objective.value_and_gradient(params), objective.evaluate(params)
    small = dataclasses.replace(objective, memory_budget=int(factor * least_of(given)))
    value, gradient = small.value_and_gradient(params)
    np.testing.assert_allclose(backend.to_numpy(value), backend.to_numpy(expected[0]), rtol=1e-6)
    for ours, theirs in zip(gradient, expected[1], strict=True):
        np.testing.assert_allclose(backend.to_numpy(ours), backend.to_numpy(theirs), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(small.evaluate(params), accuracy, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("factor", [1.0, 1.7, 2.5, 10.0])
def test_any_budget_gives_the_same_numbers_on_numpy(kernels, dtype, factor):
    expected = make("float64", penalty=L2(0.1)).value_and_gradient(PARAMS)
    budget = int(factor * least_of(make(dtype)))
    value, gradient = make(dtype, penalty=L2(0.1), budget=budget).value_and_gradient(params_in(dtype))
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(value, expected[0], rtol=tolerance)
    np.testing.assert_allclose(gradient.weight, expected[1].weight, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("factor", [3.0, 30.0])
def test_the_number_of_threads_changes_neither_cuts_nor_sums(monkeypatch, factor):
    monkeypatch.setattr("softmax_xp.ops.linear._LEAST_CHUNK_ROWS", 64)  # of one chunk BLAS's threads make the products
    objective = make(budget=int(factor * least_of(make())))
    results = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"):
            results.append((plan_pass(objective, N_CLASSES, copies=1), objective.value_and_gradient(PARAMS)))
    (plan, (value, gradient)), (other_plan, (other_value, other_gradient)) = results
    assert plan == other_plan
    if plan.limits.at_once > 1:  # else the products are left to BLAS, whose threads may change the last bit
        assert value == other_value
        np.testing.assert_array_equal(gradient.weight, other_gradient.weight)
    assert (plan.limits.at_once > 1) == (factor == 30.0)


def test_a_large_budget_changes_no_bit():
    expected = make().value_and_gradient(PARAMS)
    value, gradient = make(budget=1 << 34).value_and_gradient(PARAMS)
    assert value == expected[0]
    np.testing.assert_array_equal(gradient.weight, expected[1].weight)


def test_the_least_budget_is_checked_and_named():
    objective = make("float32", budget=1000)
    text = (
        rf"`memory_budget` must be at least {least_of(objective)} bytes for 7 features and 500 columns of logits in "
        r"float32; got 1000\."
    )
    with pytest.raises(InvalidValueError, match=text):
        objective.check_budget(N_CLASSES)
    dataclasses.replace(objective, memory_budget=least_of(objective)).check_budget(N_CLASSES)


def test_other_passes_have_as_many_bytes_for_their_rows():
    budget = least_of(make()) + 100 * footprint_of(make(), N_CLASSES).row
    objective = make("float64", budget=budget)
    rows = {copies: plan_pass(objective, N_CLASSES, copies=copies).rows for copies in (1, 2, 10)}
    assert rows[1] == 101
    assert rows[1] == pytest.approx(2 * rows[2], rel=0.1) == pytest.approx(10 * rows[10], rel=0.1)
    # Sums in float64 are the solver's; in float32 data they leave the rows half of the room, not none.
    narrow = make("float32", budget=budget)
    assert plan_pass(narrow, N_CLASSES, copies=9, dtype=np.dtype("float64")).rows > 1


def test_an_accelerator_with_a_budget_takes_thousands_of_rows(monkeypatch):
    monkeypatch.setattr(LinearObjective, "backend", Backend("gpu", np, "gpu", Capabilities(row_chunks=False)))
    loss = CrossEntropy()
    labels = np.zeros(100_000, dtype=int)
    targets = loss.prepare(labels, 250_000, dtype=np.dtype("float32"))
    data = np.broadcast_to(np.float32(0.0), (100_000, 1024))
    objective = LinearObjective(data, targets, loss, None, np.dtype("float32"), memory_budget=8 << 30)
    assert 4096 <= rows_at_once(objective, 250_000) <= 8192
    assert plan_pass(dataclasses.replace(objective, memory_budget=80 << 30), 250_000, copies=1).rows == 8192
    assert plan_pass(dataclasses.replace(objective, memory_budget=None), 250_000, copies=1).rows == 4096


def test_parts_are_cut_where_they_are_too_long():
    objective, parts = make(), [slice(0, 120), slice(120, 125), slice(125, 300)]
    assert cut_rows(objective, parts, 300) is parts
    cut = list(cut_rows(objective, parts, 50))
    assert [row for part in cut for row in range(part.start, part.stop)] == list(range(300))
    assert [part.stop - part.start for part in cut] == [50, 50, 20, 5, 50, 50, 50, 25]


class TestOutOfMemory:
    @pytest.fixture
    def limited(self, monkeypatch):
        """Let memory end where a chunk has more than 11 rows."""
        seen = []
        original = losses.CrossEntropy.value_and_gradient

        def value_and_gradient(self, logits, targets, **options):
            seen.append(targets.labels.shape[0])
            if seen[-1] > 11:
                raise MemoryError
            return original(self, logits, targets, **options)

        monkeypatch.setattr(losses.CrossEntropy, "value_and_gradient", value_and_gradient)
        return seen

    def test_a_pass_begins_anew_with_half_the_rows(self, backend, limited, monkeypatch, caplog):
        put, kind = backend.asarray, backend.xp.float32
        expected = make("float32")
        truth = LinearObjective.value_and_gradient
        loss = CrossEntropy()
        objective = LinearObjective(
            put(X.astype("float32")), loss.prepare(put(LABELS), N_CLASSES, dtype=kind), loss, None, kind
        )
        params = LinearParams(*(put(part) for part in params_in("float32")))
        value, gradient = objective.value_and_gradient(params)
        assert max(limited) > 11
        limited.clear()
        assert objective.evaluate(params)[0] == pytest.approx(float(backend.to_numpy(value)), rel=1e-5)
        assert 6 <= max(limited) <= 11  # what fits is remembered
        shared = dataclasses.replace(objective, penalty=L2(0.1))
        shared.value_and_gradient(params)
        assert max(limited) <= 11
        assert len([record for record in caplog.records if "Out of memory" in record.getMessage()]) == 1
        monkeypatch.undo()
        theirs = truth(expected, params_in("float32"))
        np.testing.assert_allclose(backend.to_numpy(value), theirs[0], rtol=1e-6)
        np.testing.assert_allclose(backend.to_numpy(gradient.weight), theirs[1].weight, rtol=1e-4, atol=1e-7)

    def test_an_evaluation_alone_begins_anew_too(self, limited):
        expected = make()
        loss, accuracy = make().evaluate(PARAMS)
        assert min(limited) <= 11 < max(limited)
        assert rows_at_once(expected, N_CLASSES) > 11
        assert (loss, accuracy) == pytest.approx(_evaluated())

    def test_sparse_rows_too(self, limited):
        objective = make(X=sp.csr_array(X))
        value, _ = objective.value_and_gradient(PARAMS)
        assert value == pytest.approx(_evaluated()[0])
        assert objective.ceiling.rows <= 11

    def test_kept_logits_keep_their_cuts(self, limited, monkeypatch):
        objective = make()
        before = [rows.shape[0] for rows, _ in objective.chunks(N_CLASSES, kept=True)]
        objective.value_and_gradient(PARAMS)
        assert [rows.shape[0] for rows, _ in objective.chunks(N_CLASSES, kept=True)] == before
        assert max(rows.shape[0] for rows, _ in objective.chunks(N_CLASSES)) <= 11

    def test_where_nothing_fits_the_error_says_what_helps(self, monkeypatch):
        def fail(*_, **__):
            raise MemoryError

        monkeypatch.setattr(losses.CrossEntropy, "value_and_gradient", fail)
        with pytest.raises(MemoryError) as caught:
            make().value_and_gradient(PARAMS)
        assert "fewer features or classes" in caught.value.__notes__[0]


def _evaluated():
    logits = X @ PARAMS.weight + PARAMS.bias
    losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(N_SAMPLES), LABELS]
    return float(np.mean(losses)), float(np.mean(np.argmax(logits, axis=1) == LABELS))


def test_sparse_rows_in_storage_are_cut_as_in_memory_and_further_where_a_chunk_would_be_large(monkeypatch):
    monkeypatch.setattr(sparse, "_CHUNK_PRODUCTS", 1 << 10)
    X = sp.random_array((600, 20), density=0.3, format="csr", rng=np.random.default_rng(0))
    loss = CrossEntropy()
    targets = loss.prepare(np.arange(600) % 3, 3, dtype=X.dtype)
    here, stored = (
        LinearObjective(rows, targets, loss, None, X.dtype) for rows in (X, stream_matrix(CsrArraySource(X)))
    )
    for options in ({}, {"dense": True}):
        plans = [plan_pass(linear, 3, copies=None, **options) for linear in (here, stored)]
        assert plans[0] == plans[1]
    assert len(plan_pass(stored, 3, copies=None).parts) > 2
    assert footprint_of(here, 3) == footprint_of(stored, 3)
    plans_in_memory = plan_pass(here, 3, copies=None)
    monkeypatch.setattr(cuts, "_STREAMED_ENTRIES", 50)
    entries = [int(X.indptr[part.stop] - X.indptr[part.start]) for part in plan_pass(stored, 3, copies=None).parts]
    assert max(entries) <= 60  # as many as a part of the gradient has numbers
    assert plan_pass(here, 3, copies=None) == plans_in_memory


def test_sparse_rows_on_their_way_to_an_accelerator_are_cut_by_their_entries(monkeypatch):
    X = sp.random_array((600, 20), density=0.3, format="csr", rng=np.random.default_rng(0))
    loss = CrossEntropy()
    targets = loss.prepare(np.arange(600) % 3, 3, dtype=X.dtype)
    stored = LinearObjective(stream_matrix(CsrArraySource(X)), targets, loss, None, X.dtype)
    monkeypatch.setattr(cuts, "_STREAMED_ENTRIES", 50)
    monkeypatch.setattr(LinearObjective, "backend", Backend("gpu", np, "gpu", Capabilities(row_chunks=False)))
    parts = cut_rows(stored, *plan_pass(stored, 3, copies=4)[:2])
    assert 1 < max(int(X.indptr[part.stop] - X.indptr[part.start]) for part in parts) <= 60
