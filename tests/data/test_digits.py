# SPDX-License-Identifier: BSD-3-Clause
import numpy as np

from softmax_xp.data.digits import load_digits


def test_the_digits_are_complete():
    digits = load_digits()
    assert digits.X.shape == (1797, 64)
    assert (digits.X.min(), digits.X.max()) == (0, 16)
    assert np.bincount(digits.y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert digits.feature_names[:2] == ("pixel_0_0", "pixel_0_1")
    assert digits.test is None
