# SPDX-License-Identifier: BSD-3-Clause
"""`import softmax_xp` is cheap: it brings NumPy and nothing else that is large.

A fresh interpreter imports NumPy first, then the package, and lists what came. The time is printed, not asserted,
since it says more about the machine; `python -m benchmarks` keeps it.
"""

import json
import subprocess
import sys

from tests.house.source import ROOT

LATER = ("cupy", "dask", "distributed", "jax", "matplotlib", "onnx", "pandas", "pyarrow")
LATER += ("safetensors", "scipy", "sklearn", "torch", "tqdm", "typer")

SCRIPT = """
import json, sys, time
import numpy
start = time.perf_counter()
import softmax_xp
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules)}))
"""


def test_import_brings_no_large_library():
    run = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)
    report = json.loads(run.stdout)
    print(f"import softmax_xp: {report['seconds'] * 1e3:.0f} ms beyond NumPy")  # noqa: T201  shown by `pytest -rP`
    assert "softmax_xp" in report["modules"]
    assert not set(LATER) & set(report["modules"])
