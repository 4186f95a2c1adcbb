# SPDX-License-Identifier: BSD-3-Clause
"""The handwritten digits that come with scikit-learn."""

__all__ = ["load_digits"]

from softmax_xp.data.dataset import Dataset


def load_digits() -> Dataset:
    """Load 1797 images of handwritten digits, 8 x 8 pixels with values 0 to 16, in 10 classes.

    Returns
    -------
    Dataset
        `X` of shape (1797, 64), float64; no official split.

    References
    ----------
    E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository, 1998.

    Examples
    --------
    >>> load_digits()
    Dataset(name='digits', n_samples=1797, n_features=64)
    """
    from sklearn.datasets import load_digits as load_bunch

    bunch = load_bunch()
    return Dataset(
        bunch.data, bunch.target, name="digits", feature_names=tuple(bunch.feature_names), target_name="digit"
    )
