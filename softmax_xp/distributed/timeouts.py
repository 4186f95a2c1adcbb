# SPDX-License-Identifier: BSD-3-Clause
"""How long a fit on a cluster waits for what: settings in Dask's own configuration.

======================================  =======  =================================================================
key                                     default  how long to wait
======================================  =======  =================================================================
``softmax-xp.timeouts.connect``         30 s     for the scheduler that the command line is told of
``softmax-xp.timeouts.workers``         60 s     while the cluster has no worker, or none with free memory, or one
                                                 does not answer before the fit
``softmax-xp.timeouts.pass``            10 m     for one pass over the data, while all workers seem well
======================================  =======  =================================================================

They are set as Dask's own are: by ``dask.config.set({"softmax-xp.timeouts.pass": "30m"})``, in a file such as
``~/.config/dask/softmax-xp.yaml``, or as ``DASK_SOFTMAX_XP__TIMEOUTS__PASS=30m`` in the environment of the client.
"""

__all__ = ["TIMEOUTS", "timeout_of"]

from collections.abc import Mapping
from math import isfinite
from types import MappingProxyType

from softmax_xp.errors import InvalidValueError

# In seconds.
TIMEOUTS: Mapping[str, float] = MappingProxyType({"connect": 30.0, "workers": 60.0, "pass": 600.0})


def timeout_of(name: str) -> float:
    """Return how long to wait for something.

    Parameters
    ----------
    name : {"connect", "workers", "pass"}
        For what.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    InvalidValueError
        If what the configuration says is no positive time.

    Examples
    --------
    >>> timeout_of("pass")  # doctest: +SKIP
    600.0
    """
    import dask.config
    from dask.utils import parse_timedelta

    key = f"softmax-xp.timeouts.{name}"
    said = dask.config.get(key, TIMEOUTS[name])
    try:
        seconds = float(parse_timedelta(said))
    except (AttributeError, KeyError, TypeError, ValueError):
        seconds = 0.0
    if not (isfinite(seconds) and seconds > 0):
        msg = f"`{key}` must be a time above 0 in Dask's configuration, such as 90 or '30m'; got {said!r}."
        raise InvalidValueError(msg)
    return seconds
