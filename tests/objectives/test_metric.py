# SPDX-License-Identifier: BSD-3-Clause
"""The forms of a metric, as matrices: each is what its definition says."""

import numpy as np
import pytest

from softmax_xp.objectives.metric import (
    CentredMetric,
    ClassMetric,
    DenseMetric,
    DiagonalMetric,
    LowRankMetric,
    ShiftedMetric,
)

N_ROWS, N_COLUMNS = 5, 3
RNG = np.random.default_rng(81)


def definite(size):
    root = RNG.standard_normal((size, size))
    return root @ root.T + 0.1 * np.eye(size)


INVERSE = definite(N_ROWS)
INVERSES = np.stack([definite(N_ROWS) for _ in range(N_COLUMNS)])
DIAGONAL = RNG.uniform(0.5, 2.0, (N_ROWS, 1))
DIAGONALS = RNG.uniform(0.5, 2.0, (N_ROWS, N_COLUMNS))
ROOTS = RNG.uniform(0.5, 2.0, (N_ROWS, N_COLUMNS))
VECTORS, _ = np.linalg.qr(RNG.standard_normal((N_ROWS, 2)))
GAINS = np.asarray([[-0.9], [0.0]])
GAIN = np.asarray([[0.3], [0.2], [0.7], [0.1], [0.0]])
CENTRE = np.eye(N_COLUMNS) - 1 / N_COLUMNS
MEAN = RNG.standard_normal((N_ROWS - 1, 1))
SHIFT = np.kron(
    np.eye(N_COLUMNS), np.block([[np.eye(N_ROWS - 1), np.zeros((N_ROWS - 1, 1))], [-MEAN.T, np.ones((1, 1))]])
)


def block_diagonal(blocks):
    whole = np.zeros((N_COLUMNS, N_ROWS, N_COLUMNS, N_ROWS))
    for column, block in enumerate(blocks):
        whole[column, :, column, :] = block
    return whole.reshape(N_COLUMNS * N_ROWS, -1)


def low_rank():
    core = np.eye(N_ROWS) + VECTORS @ (GAINS * VECTORS.T)
    return DIAGONAL * core * DIAGONAL.T


def centred(inner, gain):
    """Centre over the classes, apply, centre again; the common part by itself."""
    centre = np.kron(CENTRE, np.eye(N_ROWS))
    common = np.kron(np.ones((N_COLUMNS, N_COLUMNS)) / N_COLUMNS, np.diag(gain[:, 0]))
    return centre @ inner @ centre + common


def cases(put):
    """Give each metric beside its matrix, columns slowest."""
    shared = block_diagonal([INVERSE] * N_COLUMNS)
    roots = np.diag(ROOTS.T.ravel())
    none = np.zeros((N_ROWS, 1))
    dense, classes = DenseMetric(put(INVERSE)), ClassMetric((put(INVERSES[:2]), put(INVERSES[2:])))
    return {
        "dense": (dense, shared),
        "classes": (classes, block_diagonal(INVERSES)),
        "diagonal": (DiagonalMetric(put(DIAGONAL)), block_diagonal([np.diag(DIAGONAL[:, 0])] * N_COLUMNS)),
        "diagonals": (DiagonalMetric(put(DIAGONALS)), np.diag(DIAGONALS.T.ravel())),
        "low rank": (LowRankMetric(put(DIAGONAL), put(VECTORS), put(GAINS)), block_diagonal([low_rank()] * N_COLUMNS)),
        "centred": (CentredMetric(classes, None, put(GAIN)), centred(block_diagonal(INVERSES), GAIN)),
        "centred, no penalty": (CentredMetric(dense, None, None), centred(shared, none)),
        "shifted": (ShiftedMetric(classes, put(MEAN)), SHIFT @ block_diagonal(INVERSES) @ SHIFT.T),
        "centred, corrected": (CentredMetric(dense, put(ROOTS), put(GAIN)), centred(roots @ shared @ roots, GAIN)),
    }


@pytest.mark.parametrize("name", cases(np.asarray))
def test_solves_by_its_definition(backend, name):
    metric, matrix = cases(lambda array: backend.asarray(array.astype("float64" if backend.float64 else "float32")))[
        name
    ]
    gradient = RNG.standard_normal((N_ROWS, N_COLUMNS))
    given = backend.asarray(gradient.astype("float64" if backend.float64 else "float32"))
    expected = (matrix @ gradient.T.ravel()).reshape(N_COLUMNS, N_ROWS).T
    np.testing.assert_allclose(backend.to_numpy(metric.solve(given)), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(backend.to_numpy(given), gradient)


def test_a_wide_inverse_serves_a_narrow_fit(backend):
    inverse = backend.asarray(INVERSE.astype("float64" if backend.float64 else "float32"))
    gradient = RNG.standard_normal((N_ROWS, N_COLUMNS)).astype("float32")
    solved = backend.to_numpy(DenseMetric(inverse).solve(backend.asarray(gradient)))
    assert solved.dtype == np.float32
    np.testing.assert_allclose(solved, INVERSE @ gradient, rtol=1e-4, atol=1e-5)
