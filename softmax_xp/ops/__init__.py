# SPDX-License-Identifier: BSD-3-Clause
"""Array API mathematics: complete and correct on every backend by itself."""
