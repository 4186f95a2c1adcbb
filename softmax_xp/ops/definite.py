# SPDX-License-Identifier: BSD-3-Clause
"""The inverse of a positive definite matrix, faster than that of any matrix, and definite itself but for rounding."""

__all__ = ["definite_inverse", "inverse_of_sums", "jitter_of_sums"]

from typing import Any

from softmax_xp.backend import array_namespace, backend_of, scalar
from softmax_xp.typing import Array

# Up to this size an inverse of any matrix takes as long as what it would be replaced by.
_SMALL = 64


def definite_inverse(matrix: Array) -> Array:
    """Invert a positive definite matrix by its Cholesky factor.

    With ``matrix = lower @ lower.T``, the inverse is ``left.T @ left``, where ``left`` is the inverse of ``lower``.
    That is made from the inverses of the two diagonal blocks, and these likewise: nearly all of the work is products,
    which processors do several times as fast as the elimination behind ``linalg.inv``.

    Parameters
    ----------
    matrix : array of shape (n, n)
        Symmetric. If rounding has made it indefinite the general inverse is returned.

    Returns
    -------
    array of the shape of ``matrix``
        Fresh.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.ops.definite import definite_inverse
    >>> definite_inverse(np.asarray([[4.0, 0.0], [0.0, 0.5]]))
    array([[0.25, 0.  ],
           [0.  , 2.  ]])
    """
    xp = array_namespace(matrix)
    if matrix.shape[0] <= _SMALL:
        return xp.linalg.inv(matrix)
    try:
        left = _triangular_inverse(xp.linalg.cholesky(matrix))
    except (ValueError, RuntimeError):  # NumPy's LinAlgError is the one, PyTorch's the other
        return xp.linalg.inv(matrix)
    inverse = left.T @ left
    # Other libraries return NaN instead.
    is_finite = scalar(xp.isfinite(xp.sum(inverse)))  # host: once for each inverse
    return inverse if is_finite else xp.linalg.inv(matrix)


def jitter_of_sums(n_rows: int, dtype: Any, namespace: Any) -> float:
    """Return what a matrix of sums, scaled to a unit diagonal, may be off by.

    Parameters
    ----------
    n_rows : int
        Of the matrix.
    dtype : dtype
        In which the sums were made.
    namespace : module
        Whose dtype that is.

    Returns
    -------
    float
        Added to the diagonal, it keeps the inverse from being nothing but rounding.
    """
    epsilon: float = namespace.finfo(dtype).eps
    # Of float64's sums little is off, but an inverse of entries beyond 1e10 is lost in its own rounding.
    return max(epsilon * n_rows, 1e-10)


def inverse_of_sums(matrix: Array, jitter: float) -> Array:
    """Invert a positive semidefinite matrix of sums, scaled to a unit diagonal first.

    What is then small by the measure of ``jitter`` is small by rounding's.

    Parameters
    ----------
    matrix : array of shape (n, n)
        Symmetric, with a positive diagonal.
    jitter : float
        From :func:`jitter_of_sums`.

    Returns
    -------
    array of the shape of ``matrix``
        Fresh; definite but for its own rounding.
    """
    xp = array_namespace(matrix)
    root = 1.0 / xp.sqrt(xp.linalg.diagonal(matrix))
    # One array after the other: of large matrices each is felt.
    scaled = matrix * root[:, None]
    scaled *= root
    scaled += jitter * xp.eye(matrix.shape[0], dtype=matrix.dtype, device=backend_of(matrix).device)
    inverse = definite_inverse(scaled)
    inverse *= root[:, None]
    inverse *= root
    return inverse


def _triangular_inverse(lower: Array) -> Array:
    """Invert a lower triangular matrix: [[A, 0], [B, C]] has the inverse [[A', 0], [-C' B A', C']]."""
    xp = array_namespace(lower)
    size = lower.shape[0]
    if size <= _SMALL:
        return xp.linalg.inv(lower)
    half = size // 2
    first, last = _triangular_inverse(lower[:half, :half]), _triangular_inverse(lower[half:, half:])
    corner = last @ (lower[half:, :half] @ first)
    corner *= -1.0
    above = xp.concat((first, xp.zeros_like(corner.T)), axis=1)
    return xp.concat((above, xp.concat((corner, last), axis=1)), axis=0)
