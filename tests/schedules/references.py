# SPDX-License-Identifier: BSD-3-Clause
"""The learning rates of PyTorch's schedulers, to compare our factors with."""

__all__ = ["assert_follows_torch", "torch_factors"]

import numpy as np
import pytest

from softmax_xp.schedules import Progress


def torch_factors(make, n_steps, metrics=None):
    """The learning rate at each step of a run that starts from 1; `make(lr_scheduler, optimizer)`."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    factors = []
    for step in range(n_steps):
        factors.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if metrics is not None:
            scheduler.step(metrics[step])
        elif step < n_steps - 1:
            scheduler.step()
    return factors


def assert_follows_torch(schedule, make, total_steps):
    """Compare the factors of a run whose scheduler is stepped once per step."""
    theirs = torch_factors(make, total_steps)
    ours = [schedule.factor(Progress(step, total_steps, steps_per_epoch=7)) for step in range(total_steps)]
    # Otherwise any schedule would do.
    assert len(set(theirs)) > 2
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)
