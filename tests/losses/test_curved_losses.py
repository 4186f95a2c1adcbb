# SPDX-License-Identifier: BSD-3-Clause
"""What every loss with a curvature promises to convex solvers, on every backend."""

import array_api_compat
import mpmath
import numpy as np
import pytest

from softmax_xp.losses import CurvedLoss
from tests.losses.problems import VARIANTS, problem_of
from tests.losses.torch_reference import IGNORED, SAMPLE_WEIGHT

CURVED = {name: loss for name, loss in VARIANTS.items() if isinstance(loss, CurvedLoss)}
FLOAT = np.dtype("float64")
RNG = np.random.default_rng(41)


@pytest.fixture(params=CURVED.values(), ids=CURVED.keys())
def loss(request):
    return request.param


@pytest.fixture
def problem(loss):
    return problem_of(loss)


@pytest.fixture(params=["labels", "soft targets", "ignored labels"])
def given(request, loss, problem):
    """Give targets as the user passes them."""
    if request.param == "ignored labels":
        labels = problem.targets["labels"]
        return np.where(np.arange(labels.size) % 4 == 1, IGNORED if loss.ignore_index else labels, labels)
    if request.param == "soft targets" and loss.ignore_index is not None:
        pytest.skip("soft targets have no label to ignore")
    return problem.targets[request.param]


@pytest.fixture(params=[None, SAMPLE_WEIGHT], ids=["equal", "weighted"])
def targets(request, loss, problem, given):
    return loss.prepare(given, problem.n_classes, dtype=FLOAT, sample_weight=request.param)


def layout(array, axis):
    return np.ascontiguousarray(array.T) if axis == 0 else array


def some_probabilities(loss, problem):
    return loss.probabilities(RNG.standard_normal(problem.logits.shape))


def test_every_loss_in_the_table_has_a_curvature():
    assert CURVED.keys() == VARIANTS.keys()


@pytest.mark.parametrize("axis", [-1, 0])
def test_the_gradient_is_mass_times_probabilities_less_targets(loss, problem, targets, axis):
    logits = layout(problem.logits, axis)
    n_columns = loss.n_columns(problem.n_classes)
    t, mass = loss.target_matrix(targets, n_columns, dtype=FLOAT, axis=axis), loss.mass(targets)
    mass = np.ones(logits.shape[axis + 1]) if mass is None else mass
    ours = (np.expand_dims(mass, axis) * loss.probabilities(logits, axis=axis) - t) / loss.temperature
    _, gradient = loss.value_and_gradient(logits, targets, axis=axis)
    np.testing.assert_allclose(ours, gradient, rtol=1e-12, atol=1e-15)


def test_the_value_is_that_of_mass_and_targets(loss, problem, targets):
    t = loss.target_matrix(targets, loss.n_columns(problem.n_classes), dtype=FLOAT)
    mass = loss.mass(targets)
    mass = 1.0 if mass is None else mass
    z = problem.logits / loss.temperature
    scores = z if z.shape[1] > 1 else np.concatenate([np.zeros_like(z), z], axis=1)
    expected = mass * np.log(np.sum(np.exp(scores), axis=1)) - np.sum(t * z, axis=1)
    np.testing.assert_allclose(loss.value_and_gradient(problem.logits, targets)[0], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("axis", [-1, 0])
def test_the_curvature_is_the_derivative_of_the_gradient(loss, problem, targets, axis):
    direction = layout(RNG.standard_normal(problem.logits.shape), axis)
    logits, step = layout(problem.logits, axis), 1e-6
    above, below = (
        loss.value_and_gradient(logits + sign * step * direction, targets, axis=axis)[1] for sign in (1, -1)
    )
    mass = loss.mass(targets)
    product = loss.curvature_product(loss.probabilities(logits, axis=axis), direction, axis=axis)
    product = product if mass is None else product * np.expand_dims(mass, axis)
    np.testing.assert_allclose(product, (above - below) / (2 * step), rtol=1e-6, atol=1e-8)


def exact_divergence(q, p):
    """Return sum(q * log(q / p) - q + p) of each row of floats q; p holds a number for each class, of many digits."""
    rows = []
    with mpmath.workdps(60):
        for q_row, p_row in zip(q, p, strict=True):
            q_exact = [mpmath.mpf(float(member)) for member in q_row]
            q_exact += [1 - q_exact[0]] if len(q_exact) == 1 else []
            pairs = zip(q_exact, p_row, strict=True)
            rows.append(float(mpmath.fsum((a * mpmath.log(a / b) if a else 0) - a + b for a, b in pairs)))
    return rows


def as_given(p):
    """Return the floats of p as numbers of many digits, for each class one."""
    with mpmath.workdps(60):
        rows = [[mpmath.mpf(float(member)) for member in row] for row in p]
        return [[row[0], 1 - row[0]] if len(row) == 1 else row for row in rows]


def from_logits(logits, temperature):
    """Return the probabilities that the floats of the logits stand for, for each class one, in many digits."""
    with mpmath.workdps(60):
        scores = [[mpmath.mpf(float(member)) / temperature for member in row] for row in logits]
        powers = [[mpmath.exp(x) for x in (row if len(row) > 1 else [row[0], 0])] for row in scores]
        return [[member / mpmath.fsum(row) for member in row] for row in powers]


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("distance", [1e-15, 1e-12, 1e-8, 1e-4, 1e-2, 0.3, 3.0])
def test_the_divergence_is_exact_at_every_distance(loss, problem, axis, distance):
    logits = RNG.standard_normal(problem.logits.shape) * 2
    p, q = loss.probabilities(logits), loss.probabilities(logits + distance * RNG.standard_normal(logits.shape))
    got = loss.divergence(layout(q, axis), layout(p, axis), axis=axis)
    assert np.all(got >= 0)
    np.testing.assert_allclose(got, exact_divergence(q, as_given(p)), rtol=2e-14)


def test_nothing_diverges_from_itself(loss, problem):
    for size in (1.0, 30.0, 1e4):
        p = loss.probabilities(problem.logits * size)
        np.testing.assert_array_equal(loss.divergence(p, p), 0.0)


def test_the_divergence_takes_zeros_in_q(loss, problem):
    p = some_probabilities(loss, problem)
    q = p.copy()
    q[:, 0] = 0.0
    q = q if q.shape[1] == 1 else q / q.sum(axis=1, keepdims=True)
    got = loss.divergence(q, p)
    np.testing.assert_allclose(got, exact_divergence(q, as_given(p)), rtol=1e-13)


@pytest.mark.parametrize("size", [1.0, 30.0, 1e3, 1e5])
def test_the_divergence_with_logits_knows_what_underflowed(loss, problem, size):
    # q gives each class a little, as a transport step does where p has long since been rounded to 0, or 1.
    logits = problem.logits * size
    p = loss.probabilities(logits)
    share = 1.0 / problem.n_classes
    for step in (1e-12, 1e-3, 0.5):
        q = (1 - step) * p + step * share
        got = loss.divergence(q, p, logits=logits)
        expected = exact_divergence(q, from_logits(logits, loss.temperature))
        assert np.all(np.isfinite(got))
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-15)


def test_the_divergence_is_a_bound_on_what_a_wrong_dual_point_loses(loss, problem):
    # Fenchel and Young: lse(z) - q . z + sum(q log q) = KL(q || softmax(z)) for every q of the simplex.
    z = problem.logits / loss.temperature
    q = some_probabilities(loss, problem)
    scores = z if z.shape[1] > 1 else np.concatenate([np.zeros_like(z), z], axis=1)
    whole = q if q.shape[1] > 1 else np.concatenate([1 - q, q], axis=1)
    gap = (
        np.log(np.sum(np.exp(scores), axis=1)) - np.sum(whole * scores, axis=1) + np.sum(whole * np.log(whole), axis=1)
    )
    np.testing.assert_allclose(loss.divergence(q, loss.probabilities(problem.logits)), gap, rtol=1e-10, atol=1e-13)


def all_of_it(loss, problem, put, dtype, kind, axis):
    """Return every answer to a solver's questions, all of them fresh arrays but for the mass."""
    prepared = put(problem.targets[kind])
    targets = loss.prepare(prepared, problem.n_classes, dtype=dtype, sample_weight=put(SAMPLE_WEIGHT))
    logits = put(layout(problem.logits, axis))
    p = loss.probabilities(logits, axis=axis)
    q = loss.probabilities(logits * 0.5, axis=axis)
    return {
        "p": p,
        "mass": loss.mass(targets),
        "target": loss.target_matrix(targets, logits.shape[axis], dtype=dtype, axis=axis),
        "product": loss.curvature_product(p, logits, axis=axis),
        "divergence": loss.divergence(q, p, axis=axis),
        "divergence with logits": loss.divergence(q, p, axis=axis, logits=logits),
    }


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("kind", ["labels", "soft targets"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_goes_where_numpy_goes_and_stays_there(backend, loss, problem, kind, axis, dtype):
    if kind == "soft targets" and loss.ignore_index is not None:
        pytest.skip("soft targets have no label to ignore")
    if dtype == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")

    def put(array):
        return backend.asarray(array if array.dtype.kind == "i" else array.astype(dtype))

    answers = all_of_it(loss, problem, put, getattr(backend.xp, dtype), kind, axis)
    expected = all_of_it(loss, problem, lambda array: array, FLOAT, kind, axis)
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    for name, array in answers.items():
        assert array_api_compat.array_namespace(array) is backend.xp
        assert array_api_compat.device(array) == backend.device
        host = backend.to_numpy(array)
        assert host.dtype == dtype
        assert host.shape == expected[name].shape
        np.testing.assert_allclose(host, expected[name], rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("axis", [-1, 0])
def test_gives_away_nothing_of_its_own(loss, problem, axis):
    for kind, array in problem.targets.items():
        if kind == "soft targets" and loss.ignore_index is not None:
            continue
        targets = loss.prepare(array, problem.n_classes, dtype=FLOAT)
        logits = layout(problem.logits, axis)
        p = loss.probabilities(logits, axis=axis)
        given = [array, logits, p, *(member for member in targets if member is not None)]
        kept = [member.copy() for member in given]
        answers = [
            loss.target_matrix(targets, logits.shape[axis], dtype=FLOAT, axis=axis),
            loss.curvature_product(p, logits, axis=axis),
            loss.divergence(p, p, axis=axis),
            loss.divergence(p, p, axis=axis, logits=logits),
        ]
        assert not np.shares_memory(p, logits)
        for answer in answers:
            assert not any(np.shares_memory(answer, member) for member in given)
            answer[...] = np.nan
        for member, before in zip(given, kept, strict=True):
            np.testing.assert_array_equal(member, before)


@pytest.mark.parametrize("kind", ["labels", "soft targets"])
def test_reads_nothing_back_from_the_device(monkeypatch, loss, problem, kind):
    strict = pytest.importorskip("array_api_strict")
    if kind == "soft targets" and loss.ignore_index is not None:
        pytest.skip("soft targets have no label to ignore")
    given, weight = strict.asarray(problem.targets[kind]), strict.asarray(SAMPLE_WEIGHT)
    targets = loss.prepare(given, problem.n_classes, dtype=strict.float64, sample_weight=weight)
    logits = strict.asarray(problem.logits)

    def refuse(array, *arguments, **options):
        msg = "a host read inside the mathematics"
        raise AssertionError(msg)

    for name in ("__float__", "__bool__", "__int__", "__index__", "__complex__", "__array__", "__iter__"):
        monkeypatch.setattr(type(logits), name, refuse, raising=False)
    p = loss.probabilities(logits)
    loss.mass(targets)
    loss.target_matrix(targets, logits.shape[1], dtype=strict.float64)
    loss.curvature_product(p, logits)
    loss.divergence(p, p)
    loss.divergence(p, p, logits=logits)


def test_equal_samples_have_no_mass_of_their_own(loss, problem):
    targets = loss.prepare(problem.targets["labels"], problem.n_classes, dtype=FLOAT)
    counted = loss.class_weight is not None or loss.ignore_index is not None
    assert (loss.mass(targets) is not None) == counted
