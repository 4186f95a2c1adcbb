# SPDX-License-Identifier: BSD-3-Clause
"""Fast versions of what other rooms define: an optimisation, never a definition."""
