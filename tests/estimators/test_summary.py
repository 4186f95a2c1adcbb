# SPDX-License-Identifier: BSD-3-Clause
import pickle

import mpmath
import numpy as np
import pytest
import scipy.sparse
import statsmodels.api as sm
from sklearn.datasets import load_iris

from softmax_xp.errors import InvalidValueError, SoftmaxXPWarning
from softmax_xp.estimators import information, summary_input
from softmax_xp.estimators.summary import coefficient_summary
from tests.estimators.reference_fit import contrast_matrix, draw_samples, fit_newton, hessian, scores, terms_of

STATISTICS = ("coefficient", "standard_error", "z", "p_value", "lower", "upper", "covariance")


def fitted(C=np.inf, has_intercept=True, n_classes=3, sample_weight=None, **options):
    """Draw samples and fit them: X, codes, weight, bias."""
    X, codes = draw_samples(n_classes=n_classes, **options)
    targets = np.eye(n_classes)[codes]
    if sample_weight is not None:
        targets *= sample_weight(len(X))[:, None]
    return X, codes, *fit_newton(X, targets, C, has_intercept)


def assert_same(found, expected, rtol=1e-9):
    for name in STATISTICS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=rtol, atol=1e-13, err_msg=name)


def integers(n_samples):
    return np.random.default_rng(5).integers(0, 4, n_samples).astype(float)


class TestAgainstStatsmodels:
    @pytest.mark.parametrize(("covariance", "name"), [("model", "nonrobust"), ("sandwich", "HC0")])
    @pytest.mark.parametrize("confidence", [0.95, 0.5])
    def test_multinomial_logit(self, covariance, name, confidence):
        X, codes = draw_samples(n_classes=4)
        peer = sm.MNLogit(codes, sm.add_constant(X)).fit(disp=0, method="newton", tol=1e-13, cov_type=name)
        columns = np.c_[np.zeros(4), peer.params]
        found = coefficient_summary(X, codes, columns[1:], columns[0], covariance=covariance, confidence=confidence)
        np.testing.assert_array_equal(found.coefficient, peer.params.T)
        np.testing.assert_allclose(found.standard_error, peer.bse.T, rtol=1e-12)
        np.testing.assert_allclose(found.z, peer.tvalues.T, rtol=1e-12)
        np.testing.assert_allclose(found.p_value, peer.pvalues.T, rtol=1e-11)
        interval = peer.conf_int(alpha=1.0 - confidence)
        np.testing.assert_allclose(found.lower, interval[..., 0], rtol=1e-11)
        np.testing.assert_allclose(found.upper, interval[..., 1], rtol=1e-11)
        np.testing.assert_allclose(found.covariance, peer.cov_params(), rtol=1e-10, atol=1e-16)
        np.testing.assert_array_equal(found.covariance, found.covariance.T)
        assert found.notes == ()

    @pytest.mark.parametrize(("covariance", "name"), [("model", "nonrobust"), ("sandwich", "HC0")])
    @pytest.mark.parametrize("has_intercept", [True, False])
    def test_logit_in_one_column(self, covariance, name, has_intercept):
        X, codes = draw_samples(n_classes=2)
        peer = sm.Logit(codes, terms_of(X, has_intercept)).fit(disp=0, method="newton", tol=1e-13, cov_type=name)
        params = peer.params[:, None]
        weight, bias = (params[1:], params[0]) if has_intercept else (params, None)
        found = coefficient_summary(X, codes, weight, bias, covariance=covariance)
        np.testing.assert_allclose(found.standard_error[0], peer.bse, rtol=1e-12)
        np.testing.assert_allclose(found.p_value[0], peer.pvalues, rtol=1e-11)
        np.testing.assert_allclose(found.covariance, peer.cov_params(), rtol=1e-10, atol=1e-16)
        assert found.terms == (("(intercept)",) if has_intercept else ()) + ("x0", "x1", "x2")

    def test_weighted_binomial(self):
        X, codes = draw_samples(n_classes=2)
        weight = 0.5 + integers(len(X))
        options = {"family": sm.families.Binomial(), "var_weights": weight}
        peer = sm.GLM(codes.astype(float), sm.add_constant(X), **options).fit(tol=1e-14)
        robust = sm.GLM(codes.astype(float), sm.add_constant(X), **options).fit(tol=1e-14, cov_type="HC0")
        columns = peer.params[:, None]
        model, sandwich = (
            coefficient_summary(X, codes, columns[1:], columns[0], sample_weight=weight, covariance=kind)
            for kind in ("model", "sandwich")
        )
        np.testing.assert_allclose(model.standard_error[0], peer.bse, rtol=1e-9)
        np.testing.assert_allclose(sandwich.standard_error[0], robust.bse, rtol=1e-9)
        assert not np.allclose(model.standard_error, sandwich.standard_error, rtol=0.05)

    def test_iris_against_a_class_that_overlaps(self):
        # setosa is separated from the other two, which overlap: their contrast is what is left, and setosa's rows say
        # nothing about it. So MNLogit on two classes must give the same.
        X, codes = load_iris(return_X_y=True)
        pair = codes > 0
        peer = sm.Logit(codes[pair] - 1, sm.add_constant(X[pair])).fit(disp=0, method="newton", tol=1e-13)
        # Any hyperplane between setosa and the rest serves as the limit of the fit.
        setosa = np.array([8.0, 4.0, 12.0, -14.0, -14.0]) * 3.0
        columns = np.c_[setosa, np.zeros(5), peer.params]
        with pytest.warns(SoftmaxXPWarning, match=r"separated.*NaN for class 0 \(all\)\. Fit with a penalty"):
            found = coefficient_summary(X, codes, columns[1:], columns[0], reference=1)
        assert np.isnan(found.standard_error[0]).all()
        np.testing.assert_allclose(found.standard_error[1], peer.bse, rtol=1e-6)
        np.testing.assert_allclose(found.p_value[1], peer.pvalues, rtol=1e-6)
        with pytest.warns(SoftmaxXPWarning, match=r"class 1 \(all\); class 2 \(all\)"):
            assert np.isnan(coefficient_summary(X, codes, columns[1:], columns[0]).standard_error).all()


class TestAgainstTheDirectFormula:
    @pytest.mark.parametrize("C", [np.inf, 0.5])
    @pytest.mark.parametrize("has_intercept", [True, False])
    @pytest.mark.parametrize("reference", [0, 1, 2])
    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_delta_method_on_the_coefficients_of_all_classes(self, C, has_intercept, reference, n_classes):
        if reference >= n_classes:
            return
        X, codes, weight, bias = fitted(C, has_intercept, n_classes, integers)
        targets = np.eye(n_classes)[codes] * integers(len(X))[:, None]
        terms = terms_of(X, has_intercept)
        coefficients = weight.T if bias is None else np.c_[bias, weight.T]
        contrasts = contrast_matrix(n_classes, terms.shape[1], reference)
        bread = np.linalg.pinv(hessian(terms, targets, coefficients, C, has_intercept), rcond=1e-12)
        score = scores(terms, targets, coefficients)
        expected = {
            "model": contrasts @ bread @ contrasts.T,
            "sandwich": contrasts @ bread @ score.T @ score @ bread @ contrasts.T,
        }
        for kind, matrix in expected.items():
            found = coefficient_summary(
                X, codes, weight, bias, C=C, sample_weight=integers(len(X)), covariance=kind, reference=reference
            )
            np.testing.assert_allclose(found.covariance, matrix, rtol=1e-8, atol=1e-12)
            np.testing.assert_allclose(found.coefficient.ravel(), contrasts @ coefficients.ravel(), atol=1e-14)
            assert found.notes == ()

    @pytest.mark.parametrize("reference", [0, 1])
    def test_the_penalty_of_one_column_acts_on_the_contrast_itself(self, reference):
        # The columns -g / 2 and g / 2 of the symmetric model have half the squared length of the column g.
        C = 0.7
        X, codes, weight, bias = fitted(C=C / 2.0, n_classes=2)
        symmetric = coefficient_summary(X, codes, weight, bias, C=C / 2.0, reference=reference)
        column, intercept = weight[:, 1:] - weight[:, :1], bias[1:] - bias[:1]
        assert_same(coefficient_summary(X, codes, column, intercept, C=C, reference=reference), symmetric)

    def test_soft_targets_carry_class_weights(self):
        X, _ = draw_samples()
        targets = np.random.default_rng(2).dirichlet([0.5, 1.0, 1.0], len(X)) * np.array([2.0, 1.0, 0.5])
        weight, bias = fit_newton(X, targets)
        coefficients = np.c_[bias, weight.T]
        found = coefficient_summary(X, targets, weight, bias, covariance="sandwich")
        score, contrasts = scores(terms_of(X), targets, coefficients), contrast_matrix(3, 4, 0)
        bread = np.linalg.pinv(hessian(terms_of(X), targets, coefficients), rcond=1e-12)
        np.testing.assert_allclose(
            found.covariance, contrasts @ bread @ score.T @ score @ bread @ contrasts.T, rtol=1e-8
        )
        assert found.total_weight == pytest.approx(targets.sum())


class TestWeights:
    def test_model_based_is_that_of_repeated_rows(self):
        X, codes, weight, bias = fitted(sample_weight=integers)
        counts = integers(len(X))
        rows = np.repeat(np.arange(len(X)), counts.astype(int))
        weighted = coefficient_summary(X, codes, weight, bias, sample_weight=counts)
        assert_same(weighted, coefficient_summary(X[rows], codes[rows], weight, bias))
        assert weighted.total_weight == len(rows)
        assert weighted.n_samples == np.count_nonzero(counts)

    def test_sandwich_squares_them_so_that_repeated_rows_differ(self):
        X, codes, weight, bias = fitted(sample_weight=integers)
        counts = integers(len(X))
        rows = np.repeat(np.arange(len(X)), counts.astype(int))
        weighted = coefficient_summary(X, codes, weight, bias, sample_weight=counts, covariance="sandwich")
        repeated = coefficient_summary(X[rows], codes[rows], weight, bias, covariance="sandwich")
        assert np.all(weighted.standard_error > 1.1 * repeated.standard_error)

    def test_their_scale_matters_to_the_model_based_only(self):
        X, codes, weight, bias = fitted(sample_weight=integers)
        counts = integers(len(X))
        for kind, factor in (("model", 0.5), ("sandwich", 1.0)):
            once, four = (
                coefficient_summary(X, codes, weight, bias, sample_weight=scale * counts, covariance=kind)
                for scale in (1.0, 4.0)
            )
            np.testing.assert_allclose(four.standard_error, factor * once.standard_error, rtol=1e-12)

    @pytest.mark.parametrize("covariance", ["model", "sandwich"])
    def test_zero_is_absence(self, covariance):
        X, codes, weight, bias = fitted(sample_weight=integers)
        counts = integers(len(X))
        kept = counts > 0
        wild = np.where(kept[:, None], X, 1e200)
        found = coefficient_summary(wild, codes, weight, bias, sample_weight=counts, covariance=covariance)
        expected = coefficient_summary(
            X[kept], codes[kept], weight, bias, sample_weight=counts[kept], covariance=covariance
        )
        assert_same(found, expected, rtol=1e-12)


class TestInvariance:
    @pytest.mark.parametrize("covariance", ["model", "sandwich"])
    @pytest.mark.parametrize("C", [np.inf, 0.5])
    def test_permuted_classes(self, covariance, C):
        X, codes, weight, bias = fitted(C)
        order = np.array([2, 0, 1])
        place = np.argsort(order)
        options = {"C": C, "covariance": covariance}
        found = coefficient_summary(
            X, place[codes], weight[:, order], bias[order], class_names=order, reference=1, **options
        )
        expected = coefficient_summary(X, codes, weight, bias, reference=1, **options)
        assert (found.classes, expected.classes) == ((2, 0), (0, 2))
        for name in ("coefficient", "standard_error", "p_value"):
            np.testing.assert_allclose(getattr(found, name)[::-1], getattr(expected, name), rtol=1e-9)

    def test_swapped_reference_turns_signs(self):
        X, codes, weight, bias = fitted()
        first, last = (coefficient_summary(X, codes, weight, bias, reference=reference) for reference in (0, 2))
        np.testing.assert_allclose(first.coefficient[1], -last.coefficient[0], rtol=1e-12)
        np.testing.assert_allclose(first.standard_error[1], last.standard_error[0], rtol=1e-11)

    def test_a_vector_added_to_all_classes_changes_nothing(self):
        X, codes, weight, bias = fitted()
        expected = coefficient_summary(X, codes, weight, bias)
        assert_same(coefficient_summary(X, codes, weight + 3.0, bias - 2.0), expected)

    @pytest.mark.parametrize(("factor", "offset"), [(1e30, 0.0), (1e-30, 0.0), (1.0, 1e6), (1e3, 1.7e9), (5.0, 2000.0)])
    def test_units_and_offsets_of_features(self, factor, offset):
        X, codes, weight, bias = fitted()
        expected = coefficient_summary(X, codes, weight, bias)
        scale, shift = np.array([factor, 1.0, 1.0]), np.array([offset, 0.0, 0.0])
        found = coefficient_summary(X * scale + shift, codes, weight / scale[:, None], bias - (shift / scale) @ weight)
        np.testing.assert_allclose(found.z[:, 1:], expected.z[:, 1:], rtol=1e-8)
        change = np.eye(4)
        change[0, 1], change[1, 1] = -offset / factor, 1.0 / factor
        change = np.kron(np.eye(2), change)
        np.testing.assert_allclose(
            np.sqrt(np.diag(change @ expected.covariance @ change.T)), found.standard_error.ravel(), rtol=1e-8
        )
        assert found.notes == ()

    @pytest.mark.parametrize("covariance", ["model", "sandwich"])
    def test_chunks_of_rows(self, covariance, monkeypatch):
        X, codes, weight, bias = fitted()
        expected = coefficient_summary(X, codes, weight, bias, covariance=covariance)
        monkeypatch.setattr(information, "_CHUNK_ELEMENTS", 100)
        assert_same(coefficient_summary(X, codes, weight, bias, covariance=covariance), expected)


class TestInput:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_arrays_of_any_library_on_any_device(self, backend, dtype):
        X, codes, weight, bias = fitted(sample_weight=integers)
        X = X.astype(dtype)
        counts = integers(len(X)).astype(dtype)
        expected = coefficient_summary(X.astype(float), codes, weight, bias, sample_weight=counts)
        arrays = (backend.asarray(values) for values in (X, codes, weight, bias))
        assert_same(coefficient_summary(*arrays, sample_weight=backend.asarray(counts)), expected, rtol=1e-12)

    def test_soft_targets_on_a_device(self, backend):
        X, _ = draw_samples()
        targets = np.random.default_rng(2).dirichlet([0.5, 1.0, 1.0], len(X))
        weight, bias = fit_newton(X, targets)
        arrays = (backend.asarray(values) for values in (X, targets, weight, bias))
        assert_same(coefficient_summary(*arrays), coefficient_summary(X, targets, weight, bias), rtol=1e-12)

    @pytest.mark.parametrize("kind", ["csr_array", "csr_matrix", "csc_array", "coo_array"])
    @pytest.mark.parametrize("index", [np.int32, np.int64])
    def test_sparse(self, kind, index):
        X, codes = draw_samples()
        X[np.abs(X) < 0.5] = 0.0
        weight, bias = fit_newton(X, np.eye(3)[codes])
        sparse = getattr(scipy.sparse, kind)(X)
        for name in ("indices", "indptr", "row", "col"):
            if name in dir(sparse):
                setattr(sparse, name, getattr(sparse, name).astype(index))
        assert_same(coefficient_summary(sparse, codes, weight, bias), coefficient_summary(X, codes, weight, bias))

    def test_data_frames_and_names(self):
        pandas = pytest.importorskip("pandas")
        X, codes, weight, bias = fitted()
        frame = pandas.DataFrame(X, columns=["a", "b", "c"])
        found = coefficient_summary(
            frame,
            codes,
            weight,
            bias,
            feature_names=frame.columns,
            class_names=np.array(["u", "v", "w"]),
            reference="v",
        )
        assert (found.terms, found.classes, found.reference) == (("(intercept)", "a", "b", "c"), ("u", "w"), "v")
        assert_same(found, coefficient_summary(X, codes, weight, bias, reference=1), rtol=1e-12)

    def test_nothing_is_written_to(self):
        arrays = *fitted(sample_weight=integers), integers(200)
        for array in arrays:
            array.flags.writeable = False
        X, codes, weight, bias, counts = arrays
        before = pickle.dumps(arrays)
        coefficient_summary(X, codes, weight, bias, sample_weight=counts, covariance="sandwich")
        assert pickle.dumps(arrays) == before

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"covariance": "robust"}, "`covariance` must be 'model' or 'sandwich'; got 'robust'"),
            ({"confidence": 95}, "`confidence` must be a number between 0 and 1; got 95.*Pass 0.95"),
            ({"confidence": 1.0}, "`confidence` must be"),
            ({"C": 1.0, "l1_ratio": 0.5}, r"`l1_ratio` must be 0 for standard errors; got 0.5.*Fit with l1_ratio=0"),
            ({"sample_weight": np.r_[np.ones(197), 0.0, 0.0, 0.0]}, "none of class 'only here'"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, options, message):
        X, codes, weight, bias = fitted()
        codes = np.where(codes == 2, 1, codes)
        codes[-3:] = 2
        names = ["a", "b", "only here"]
        with pytest.raises(InvalidValueError, match=message):
            coefficient_summary(X, codes, weight, bias, class_names=names, **options)

    def test_an_l1_ratio_without_a_penalty_is_none(self):
        X, codes, weight, bias = fitted()
        assert coefficient_summary(X, codes, weight, bias, l1_ratio=1.0).notes == ()

    def test_an_overflow_is_an_error(self):
        X, codes, weight, bias = fitted()
        with pytest.raises(InvalidValueError, match="must be finite in float64; got an overflow"):
            coefficient_summary(X * 1e300, codes, weight * 1e100, bias)


def test_p_values_are_exact_far_out_in_the_tail():
    # A common factor of the weights divides the standard errors, and leaves the optimum where it is.
    X, codes, weight, bias = fitted(n_classes=2)
    z = np.abs(coefficient_summary(X, codes, weight, bias).z).max()
    for wanted in (10.0, 25.0, 37.5):
        found = coefficient_summary(X, codes, weight, bias, sample_weight=np.full(len(X), (wanted / z) ** 2))
        assert np.abs(found.z).max() == pytest.approx(wanted)
        for value, p in zip(found.z.ravel(), found.p_value.ravel(), strict=True):
            assert p > 0.0
            assert float(mpmath.erfc(abs(value) / mpmath.sqrt(2))) == pytest.approx(p, rel=1e-11)


class TestIdentification:
    def test_a_repeated_feature(self):
        X, codes, weight, bias = fitted()
        expected = coefficient_summary(X, codes, weight, bias)
        with pytest.warns(SoftmaxXPWarning, match="collinear.*coefficients of x0, x3, whose standard errors are NaN"):
            found = coefficient_summary(np.c_[X, 2.0 * X[:, 0]], codes, np.r_[weight, weight[:1] * 0.0], bias)
        assert np.isnan(found.standard_error[:, [1, 4]]).all()
        np.testing.assert_allclose(found.standard_error[:, [0, 2, 3]], expected.standard_error[:, [0, 2, 3]], rtol=1e-9)
        assert np.isfinite(found.covariance).sum() == 36
        assert len(found.notes) == 1

    def test_a_constant_feature_hides_the_intercept_but_zeros_do_not(self):
        X, codes, weight, bias = fitted()
        weight = np.r_[weight, weight[:1] * 0.0]
        with pytest.warns(SoftmaxXPWarning, match=r"coefficients of \(intercept\), x3, whose"):
            found = coefficient_summary(np.c_[X, np.full(len(X), 0.1)], codes, weight, bias)
        assert np.isnan(found.standard_error[0]).tolist() == [True, False, False, False, True]
        with pytest.warns(SoftmaxXPWarning, match="coefficients of x3, whose"):
            found = coefficient_summary(np.c_[X, np.zeros(len(X))], codes, weight, bias)
        assert np.isnan(found.standard_error[0]).tolist() == [False, False, False, False, True]

    def test_a_sum_of_features_in_float32(self):
        X, codes, weight, bias = fitted()
        X = np.c_[X, X[:, 0] + X[:, 1]].astype(np.float32)
        with pytest.warns(SoftmaxXPWarning, match="coefficients of x0, x1, x3, whose"):
            found = coefficient_summary(X, codes, np.r_[weight, weight[:1] * 0.0], bias)
        assert np.isnan(found.standard_error[0]).tolist() == [False, True, True, False, True]

    def test_nothing_but_zeros(self):
        codes = np.array([0, 1, 0, 1])
        with pytest.warns(SoftmaxXPWarning, match="coefficients of x0, x1, whose"):
            found = coefficient_summary(np.zeros((4, 2)), codes, np.zeros((2, 1)), None, covariance="sandwich")
        assert np.isnan(found.standard_error).all()

    def test_a_penalty_determines_everything(self):
        X, codes, weight, bias = fitted(C=2.0)
        doubled = np.r_[weight, weight] / 2.0
        found = coefficient_summary(np.c_[X, X], codes, doubled, bias, C=1.0)
        assert np.isfinite(found.standard_error).all()
        assert found.notes == ()

    @pytest.mark.parametrize("size", [5.0, 20.0, 400.0])
    def test_complete_separation(self, size):
        X = np.linspace(-1.0, 1.0, 20)[:, None]
        codes = (X[:, 0] > 0).astype(int)
        with pytest.warns(SoftmaxXPWarning, match=r"separated.*NaN for class 1 \(all\)"):
            found = coefficient_summary(X, codes, np.array([[size]]), np.zeros(1))
        assert np.isnan(found.standard_error).all()
        assert np.isfinite(found.coefficient).all()

    @pytest.mark.parametrize("size", [6.0, 10.0, 17.0, 40.0, 800.0])
    @pytest.mark.parametrize("covariance", ["model", "sandwich"])
    def test_a_feature_that_only_one_class_has(self, size, covariance):
        # Quasi-complete separation: the intercept and x0 are those of the samples without the flag.
        X, codes = draw_samples(n_features=1, n_classes=2)
        flag = np.zeros(len(X))
        flag[np.flatnonzero(codes)[:4]] = 1.0
        rest = flag == 0
        weight, bias = fit_newton(X[rest], np.eye(2)[codes[rest]])
        expected = coefficient_summary(X[rest], codes[rest], weight, bias, covariance=covariance)
        weight = np.r_[weight, [[0.0, size]]]
        with pytest.warns(SoftmaxXPWarning, match=r"separated.*NaN for class 1 \(x1\)"):
            found = coefficient_summary(np.c_[X, flag], codes, weight, bias, covariance=covariance)
        assert np.isnan(found.standard_error[0]).tolist() == [False, False, True]
        np.testing.assert_allclose(found.standard_error[0, :2], expected.standard_error[0], rtol=1e-3)

    def test_a_rare_class_is_not_separated(self):
        X, codes = draw_samples(n_samples=20000, n_features=2, n_classes=2, seed=3)
        rare = np.flatnonzero(codes)[5:]
        codes = codes.copy()
        codes[rare] = 0
        # Five samples that the features do not tell apart: class 1 has a probability of 0.00025.
        X[codes == 1] = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [0.1, 0.1]])
        peer = sm.Logit(codes, sm.add_constant(X)).fit(disp=0, method="newton", tol=1e-13)
        found = coefficient_summary(X, codes, peer.params[1:, None], peer.params[:1])
        np.testing.assert_allclose(found.standard_error[0], peer.bse, rtol=1e-9)
        assert found.notes == ()

    def test_a_few_huge_values_are_not_separation(self):
        X, codes = draw_samples(n_features=1, n_classes=2)
        X = np.r_[X, [[1e7], [-1e7]]]
        codes = np.r_[codes, 1, 0] if np.corrcoef(X[:-2, 0], codes)[0, 1] > 0 else np.r_[codes, 0, 1]
        weight, bias = fit_newton(X[:-2], np.eye(2)[codes[:-2]])
        found = coefficient_summary(X, codes, weight, bias)
        expected = coefficient_summary(X[:-2], codes[:-2], weight, bias)
        np.testing.assert_allclose(found.standard_error, expected.standard_error, rtol=1e-6)
        assert found.notes == ()

    def test_more_features_than_samples(self):
        rng = np.random.default_rng(0)
        X, codes = rng.normal(size=(12, 30)), np.arange(12) % 3
        weight, bias = fit_newton(X, np.eye(3)[codes], C=1.0)
        assert np.isfinite(coefficient_summary(X, codes, weight, bias, C=1.0).standard_error).all()
        with pytest.warns(SoftmaxXPWarning, match="separated"):
            found = coefficient_summary(X, codes, weight, bias)
        assert np.isnan(found.standard_error).all()


class TestOptimum:
    def test_coefficients_of_other_data_are_noticed(self):
        X, codes, weight, bias = fitted()
        with pytest.warns(SoftmaxXPWarning, match=r"not the optimum for these data: .* of class . is about .* away"):
            found = coefficient_summary(X, codes, weight, bias, sample_weight=integers(len(X)))
        assert np.isfinite(found.standard_error).all()
        with pytest.warns(SoftmaxXPWarning, match="not the optimum"):
            coefficient_summary(X, codes, weight, bias, C=1.0)

    def test_the_distance_is_that_to_the_optimum(self):
        X, codes, weight, bias = fitted()
        error = coefficient_summary(X, codes, weight, bias).standard_error[1, 2]
        weight[1, 2] += 0.05 * error
        with pytest.warns(SoftmaxXPWarning, match=r"x1 of class 2 is about 0\.05 standard errors away"):
            coefficient_summary(X, codes, weight, bias)

    def test_float32_fits_are_good_enough(self):
        X, codes, weight, bias = fitted(n_samples=2000)
        assert coefficient_summary(X, codes, weight.astype(np.float32), bias.astype(np.float32)).notes == ()


def test_too_many_coefficients_are_refused_before_any_work(monkeypatch):
    X, codes, weight, bias = fitted()
    monkeypatch.setattr(summary_input, "_MOST_COEFFICIENTS", 7)
    with pytest.raises(InvalidValueError, match="at most 7 coefficients for a summary; got 8, whose covariance"):
        coefficient_summary(X, codes, weight, bias)
