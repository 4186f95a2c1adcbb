# SPDX-License-Identifier: BSD-3-Clause
"""The command line, ``softmax-xp``: one file for each command.

Exit codes: 0 done; 2 wrong arguments, data, files or devices, in one line on stderr; 3 the loss diverged, and nothing
was saved; 130 Ctrl-C, and during training the model of the last full step was saved.
"""

__all__ = ["app", "main"]

from softmax_xp.cli.app import app, main
