# SPDX-License-Identifier: BSD-3-Clause
"""How many arrays of the size of a chunk's logits an evaluation of a loss makes at once.

The numbers are upper bounds, counted in the code and measured on NumPy: ``tests/objectives/test_footprint.py`` fails
where one is too small.
"""

__all__ = ["COPIES", "logits_copies"]

from softmax_xp.backend import backend_of
from softmax_xp.kernels import find_kernel
from softmax_xp.losses import CrossEntropy
from softmax_xp.losses.contract import Loss, Targets

# Of passes that compute probabilities and something of them, and of losses that are not this package's.
COPIES = 9
# The logits, their differences from the maximum, the exponentials; and what a temperature divides.
_DEFINITION, _TEMPERATURE = 3, 1
# The one copy of logits that are held class by class.
_CLASS_MAJOR = 1
# A mask, its float, and their difference from the rest, where a library cannot subtract at a label.
_NO_SCATTER = 3


def logits_copies(loss: Loss, targets: Targets, axis: int) -> int:
    """Return how many arrays of the size of the logits a value and gradient takes, the logits among them.

    Parameters
    ----------
    loss : Loss
        Whose.
    targets : Targets
        From ``loss.prepare``.
    axis : {-1, 0}
        Where the classes are.

    Returns
    -------
    int
        1 where a kernel writes the gradient over the logits.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.losses import CrossEntropy
    >>> from softmax_xp.objectives.footprint import logits_copies
    >>> loss = CrossEntropy()
    >>> logits_copies(loss, loss.prepare(np.array([0, 1]), 2, dtype=np.dtype("float32")), -1)
    1
    """
    if type(loss) is not CrossEntropy or targets.distribution is not None or loss.label_smoothing:
        return COPIES
    turned = _CLASS_MAJOR if axis == 0 else 0
    if find_kernel("softmax_cross_entropy", targets.labels) is not None:
        return 1 + turned
    copies = _DEFINITION + turned + (_TEMPERATURE if loss.temperature != 1.0 else 0)
    return copies if backend_of(targets.labels).capabilities.scatter else copies + _NO_SCATTER
