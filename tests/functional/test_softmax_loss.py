# SPDX-License-Identifier: BSD-3-Clause
"""The textbook's loss and prediction, against PyTorch, finite differences and mistakes."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse
from threadpoolctl import threadpool_limits

import softmax_xp as sx
from softmax_xp.errors import DeviceMismatchError, InvalidTypeError, InvalidValueError

RNG = np.random.default_rng(11)
W, X, Y = RNG.normal(size=(6, 4)), RNG.normal(size=(25, 6)), RNG.integers(0, 4, size=25)


@pytest.fixture(params=["float64", "float32"])
def dtype(request, backend):
    if request.param == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    return request.param


def put(backend, *arrays, dtype="float64"):
    return [backend.asarray(a.astype(dtype) if a.dtype.kind == "f" else a) for a in arrays]


class TestLoss:
    @pytest.mark.parametrize("reg", [0.0, 0.3])
    def test_value_and_gradient_are_those_of_pytorch(self, backend, dtype, reg):
        torch = pytest.importorskip("torch")
        weight = torch.tensor(W, requires_grad=True)
        expected = torch.nn.functional.cross_entropy(torch.tensor(X) @ weight, torch.tensor(Y))
        expected = expected + 0.5 * reg * (weight * weight).sum()
        expected.backward()
        loss, dW = sx.softmax_loss(*put(backend, W, X, Y, dtype=dtype), reg)
        tolerance = 1e-13 if dtype == "float64" else 1e-5
        assert float(backend.to_numpy(loss)) == pytest.approx(expected.item(), rel=tolerance)
        np.testing.assert_allclose(backend.to_numpy(dW), weight.grad.numpy(), rtol=tolerance, atol=tolerance)
        assert backend.to_numpy(dW).dtype == dtype
        assert loss.shape == ()

    @pytest.mark.parametrize("reg", [0.0, 0.3])
    def test_the_gradient_is_that_of_the_value(self, backend, reg):
        if not backend.float64:
            pytest.skip("differences need float64")
        step = 1e-6
        _, dW = sx.softmax_loss(*put(backend, W, X, Y), reg)
        numeric = np.empty_like(W)
        for place in np.ndindex(*W.shape):
            values = []
            for sign in (1.0, -1.0):
                moved = W.copy()
                moved[place] += sign * step
                values.append(float(backend.to_numpy(sx.softmax_loss(*put(backend, moved, X, Y), reg)[0])))
            numeric[place] = (values[0] - values[1]) / (2 * step)
        np.testing.assert_allclose(backend.to_numpy(dW), numeric, rtol=1e-6, atol=1e-8)

    def test_the_penalty_has_the_factor_one_half(self, backend):
        given = put(backend, W, X, Y)
        (plain, dW), (penalised, dW_penalised) = sx.softmax_loss(*given), sx.softmax_loss(*given, 0.3)
        difference = float(backend.to_numpy(penalised)) - float(backend.to_numpy(plain))
        assert difference == pytest.approx(0.15 * np.sum(W * W), rel=1e-12)
        np.testing.assert_allclose(backend.to_numpy(dW_penalised) - backend.to_numpy(dW), 0.3 * W, rtol=1e-12)

    def test_results_live_with_the_arguments_which_stay_as_they_are(self, backend, dtype):
        given = put(backend, W, X, Y, dtype=dtype)
        before = [backend.to_numpy(array).copy() for array in given]
        loss, dW = sx.softmax_loss(*given, 0.1)
        here = sx.backend.backend_of(dW)
        assert here.xp is backend.xp
        assert here.device == backend.device
        if backend.name.startswith("numpy"):
            assert isinstance(loss, float)
        else:
            assert sx.backend.backend_of(loss).xp is backend.xp
        for array, original in zip(given, before, strict=True):
            np.testing.assert_array_equal(backend.to_numpy(array), original)

    def test_labels_are_moved_to_the_weights(self, backend):
        expected, _ = sx.softmax_loss(W, X, Y)
        for labels in (Y, Y.tolist(), Y.astype("uint8"), Y.astype("int32")):
            loss, _ = sx.softmax_loss(*put(backend, W, X), labels)
            assert float(backend.to_numpy(loss)) == pytest.approx(expected, rel=1e-12)
        loss, _ = sx.softmax_loss(W, X, backend.asarray(Y))
        assert loss == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize("features", ["float32", "float16", "uint8", "bool", ">f8", "int64"])
    def test_features_are_computed_in_the_float_of_the_weights(self, features):
        data = np.abs(X * 2).astype(features)
        loss, dW = sx.softmax_loss(W, data, Y)
        expected, expected_dW = sx.softmax_loss(W, data.astype("float64"), Y)
        assert loss == expected
        np.testing.assert_array_equal(dW, expected_dW)
        assert dW.dtype == np.float64
        assert sx.softmax_loss(W.astype("float32"), data, Y)[1].dtype == np.float32

    @pytest.mark.parametrize("dtype", ["int64", "float16"])
    def test_narrow_weights_are_widened(self, dtype):
        weight = np.round(W).astype(dtype)
        computed = "float64" if dtype == "int64" else "float32"
        loss, dW = sx.softmax_loss(weight, X, Y, 0.1)
        expected, expected_dW = sx.softmax_loss(weight.astype(computed), X, Y, 0.1)
        assert loss == expected
        np.testing.assert_array_equal(dW, expected_dW)
        assert dW.dtype == computed

    def test_many_chunks_are_one_mean(self, monkeypatch):
        from softmax_xp.objectives import cuts

        expected, expected_dW = sx.softmax_loss(W, X, Y, 0.1)
        monkeypatch.setattr(cuts, "chunk_rows", lambda *_, **__: 4)
        loss, dW = sx.softmax_loss(W, X, Y, 0.1)
        assert loss == pytest.approx(expected, rel=1e-14)
        np.testing.assert_allclose(dW, expected_dW, rtol=1e-12, atol=1e-15)


class TestMemoryBudget:
    @pytest.mark.parametrize("budget", [120_000_000, 64_000_000, None])
    def test_a_million_classes_are_exact(self, budget):
        n_classes, n_samples = 1_000_000, 24
        random = np.random.default_rng(3)
        W = random.standard_normal((2, n_classes), dtype="float32")
        X, y = random.standard_normal((n_samples, 2), dtype="float32"), random.integers(0, n_classes, n_samples)
        tracemalloc.start()
        try:
            loss, dW = sx.softmax_loss(W, X, y, 0.1, memory_budget=budget)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak <= (budget or 300e6)
        # The definition in float64, block by block of classes.
        blocks = [slice(start, start + 100_000) for start in range(0, n_classes, 100_000)]
        wide = X.astype("float64")
        total = sum(np.exp(wide @ W[:, block]).sum(axis=1) for block in blocks)
        logits = np.einsum("nd,dn->n", wide, W[:, y].astype("float64"))
        expected = np.mean(np.log(total) - logits) + 0.05 * np.sum(W.astype("float64") ** 2)
        assert loss == pytest.approx(expected, rel=1e-6)
        hits = np.zeros(W.shape)
        np.add.at(hits.T, y, wide)
        for block in blocks:
            p = np.exp(wide @ W[:, block]) / total[:, None]
            truth = (wide.T @ p - hits[:, block]) / n_samples + 0.1 * W[:, block].astype("float64")
            np.testing.assert_allclose(dW[:, block], truth, rtol=2e-6, atol=3e-8)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("kernels", ["1", "0"])
    @pytest.mark.parametrize("threads", [1, 2])
    def test_the_peak_is_below_the_budget(self, monkeypatch, dtype, kernels, threads):
        monkeypatch.setenv("SOFTMAX_XP_KERNELS", kernels)
        random = np.random.default_rng(4)
        W, X = random.standard_normal((10, 3000)).astype(dtype), random.standard_normal((600, 10)).astype(dtype)
        y = random.integers(0, 3000, 600)
        expected, expected_dW = sx.softmax_loss(W, X, y, 0.1)
        with threadpool_limits(threads, user_api="blas"):
            for budget in (2_000_000, 5_000_000, 30_000_000):
                tracemalloc.start()
                try:
                    loss, dW = sx.softmax_loss(W, X, y, 0.1, memory_budget=budget)
                    peak = tracemalloc.get_traced_memory()[1]
                finally:
                    tracemalloc.stop()
                assert peak <= budget
                tolerance = 1e-5 if dtype == "float32" else 1e-12
                assert loss == pytest.approx(expected, rel=tolerance)
                np.testing.assert_allclose(dW, expected_dW, rtol=tolerance, atol=tolerance)

    def test_a_budget_too_small_names_the_least(self):
        with pytest.raises(
            InvalidValueError, match=r"`memory_budget` must be at least \d+ bytes for 6 features"
        ) as caught:
            sx.softmax_loss(W, X, Y, memory_budget=100)
        least = int(str(caught.value).split("at least ")[1].split()[0])
        loss, _ = sx.softmax_loss(W, X, Y, memory_budget=least)
        assert loss == pytest.approx(sx.softmax_loss(W, X, Y)[0], rel=1e-13)

    @pytest.mark.parametrize("budget", [1e9, "1 GB", True])
    def test_a_budget_is_a_number_of_bytes(self, budget):
        with pytest.raises(InvalidTypeError, match="`memory_budget` must be an integer number of bytes or None"):
            sx.softmax_loss(W, X, Y, memory_budget=budget)

    @pytest.mark.gpu
    def test_the_pool_of_a_gpu_needs_no_more_than_the_budget(self):
        """The pool refuses what exceeds the data and the budget; a smaller allowance shows that it does."""
        cupy = pytest.importorskip("cupy")
        random = np.random.default_rng(5)
        n_classes, budget = 250_000, 300_000_000
        W, X = (cupy.asarray(random.standard_normal(shape, dtype="float32")) for shape in ((32, n_classes), (2000, 32)))
        y = cupy.asarray(random.integers(0, n_classes, 2000))
        sx.softmax_loss(W[:, :10].copy(), X, y % 10)  # loads libraries and compiles
        pool = cupy.get_default_memory_pool()
        pool.free_all_blocks()
        before, limit = pool.total_bytes(), pool.get_limit()
        expected = float(sx.softmax_loss(W, X[:200], y[:200])[0])
        pool.free_all_blocks()
        hook = _peak_hook(pool)
        try:
            with hook:
                loss, _ = sx.softmax_loss(W, X[:200], y[:200], memory_budget=budget)
            assert hook.peak - before <= budget
            assert float(loss) == pytest.approx(expected, rel=1e-5)
            pool.free_all_blocks()
            pool.set_limit(size=before + budget + (1 << 25))
            sx.softmax_loss(W, X, y, memory_budget=budget)
        finally:
            pool.set_limit(size=limit)


def _peak_hook(pool):
    """Return a hook that notes the most bytes that a memory pool of CuPy had in use."""
    from cupy.cuda.memory_hook import MemoryHook

    class Peak(MemoryHook):
        name = "Peak"
        peak = 0

        def malloc_postprocess(self, **_):
            self.peak = max(self.peak, pool.used_bytes())

    return Peak()


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "error", "text"),
        [
            ((W[0], X, Y), InvalidValueError, r"`W` and `X` must have shapes .*; got \(4,\) and \(25, 6\)."),
            ((W, X[:, :5], Y), InvalidValueError, r"got \(6, 4\) and \(25, 5\)"),
            ((W, X[:0], Y[:0]), InvalidValueError, r"at least one of each; got \(6, 4\) and \(0, 6\)"),
            ((W[:, :0], X, Y), InvalidValueError, r"at least one of each; got \(6, 0\)"),
            ((W, X, Y[:24]), InvalidValueError, r"`y` must have shape \(25,\), one label .*; got \(24,\)."),
            ((W, X, Y[:, None]), InvalidValueError, r"`y` must have shape \(25,\), .*; got \(25, 1\)."),
            ((W, X, np.eye(4)[Y]), InvalidValueError, r"`y` must have shape \(25,\), .*; got \(25, 4\)."),
            ((W, X, Y - 1), InvalidValueError, "`y` must lie in 0 .. 3; got labels from -1 to 2."),
            ((W, X, Y + 1), InvalidValueError, "from 1 to 4. .* a `W` with 5 columns"),
            ((W, X, Y.astype(float)), InvalidTypeError, "`y` must hold integer class numbers; got float64"),
            ((W, X, Y > 0), InvalidTypeError, "`y` must hold integer class numbers; got bool"),
            ((W.astype(complex), X, Y), InvalidTypeError, "must be a real number type; got complex128"),
            ((W, X.astype(complex), Y), InvalidTypeError, "must be a real number type; got complex128"),
            ((W, X.astype(str), Y), InvalidTypeError, "must be a real number type; got str"),
            ((W, X, Y, -0.1), InvalidValueError, "`reg` must be a finite number of at least 0; got -0.1."),
            ((W, X, Y, float("nan")), InvalidValueError, "`reg` must be a finite number of at least 0; got nan."),
        ],
    )
    def test_the_loss_refuses(self, arguments, error, text):
        with pytest.raises(error, match=text):
            sx.softmax_loss(*arguments)

    @pytest.mark.parametrize("function", [lambda W, X: sx.softmax_loss(W, X, Y), sx.predict_softmax_loss])
    def test_mixed_devices_are_an_error_that_names_both(self, function):
        strict = pytest.importorskip("array_api_strict")
        text = r"`X` must be on the device of `W`, 'cpu'; got .array_api_strict:.*\. Pass both on one device"
        with pytest.raises(DeviceMismatchError, match=text):
            function(W, strict.asarray(X))
        there = strict.asarray(W, device=strict.Device("device1"))
        with pytest.raises(DeviceMismatchError, match="device1.*CPU_DEVICE"):
            function(there, strict.asarray(X))

    def test_labels_out_of_range_are_an_error_everywhere(self, backend):
        # CuPy would wrap them, JAX would clamp them, and PyTorch's CUDA would lose its context.
        for wrong in (Y - 1, Y + 1):
            with pytest.raises(InvalidValueError, match="`y` must lie in 0 .. 3"):
                sx.softmax_loss(*put(backend, W, X, wrong))


class TestPrediction:
    def test_it_is_the_largest_score(self, backend, dtype):
        answer = sx.predict_softmax_loss(*put(backend, W, X, dtype=dtype))
        assert sx.backend.backend_of(answer).device == backend.device
        np.testing.assert_array_equal(backend.to_numpy(answer), np.argmax(X @ W, axis=1))

    def test_ties_go_to_the_lower_class(self, backend):
        answer = sx.predict_softmax_loss(*put(backend, np.zeros((6, 4)), X))
        assert not backend.to_numpy(answer).any()

    def test_integer_weights_do_not_cut_the_features(self):
        assert sx.predict_softmax_loss(np.eye(2, dtype=int), np.asarray([[0.4, 0.6]])).tolist() == [1]

    def test_features_of_any_real_dtype(self):
        counts = np.abs(X * 3).astype("uint8")
        np.testing.assert_array_equal(sx.predict_softmax_loss(W, counts), np.argmax(counts @ W, axis=1))

    def test_shapes_must_fit(self):
        with pytest.raises(
            InvalidValueError, match=r"`X` must have shape \(n_samples, 6\), the rows of `W`; got \(25, 5"
        ):
            sx.predict_softmax_loss(W, X[:, :5])
        with pytest.raises(InvalidTypeError, match="must be a real number type; got complex128"):
            sx.predict_softmax_loss(W, X.astype(complex))


@pytest.mark.parametrize("call", [lambda W, X: sx.softmax_loss(W, X, np.arange(3)), sx.predict_softmax_loss])
def test_sparse_data_are_refused_with_what_takes_them(call):
    with pytest.raises(InvalidTypeError, match=r"`X` must be dense; got csr_array\. .* SoftmaxClassifier"):
        call(np.zeros((3, 3)), scipy.sparse.eye_array(3, format="csr"))
