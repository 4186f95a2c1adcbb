# SPDX-License-Identifier: BSD-3-Clause
import json

import pytest

from benchmarks import cuda_registers
from benchmarks.nvrtc import Compiled


class FakeCompiler:
    """Says of every function that it needs as many registers as its text has letters, and on one machine a stack."""

    def compile(self, text, target):
        log = f"Compiling entry function 'update' for '{target}'\n8 bytes stack frame, 4 bytes spill stores\n"
        return Compiled(b"", f"{log}Used {len(text) % 97} registers")


@pytest.fixture
def few(monkeypatch, tmp_path):
    kernels = [kernel for kernel in cuda_registers.all_kernels() if kernel.entry == "update"][:2]
    monkeypatch.setattr(cuda_registers, "all_kernels", lambda: kernels)
    monkeypatch.setattr(cuda_registers, "find_compiler", lambda major: FakeCompiler())
    monkeypatch.setattr(cuda_registers, "compiler_version", lambda: "13.5.37")
    monkeypatch.setattr(cuda_registers, "TABLE", tmp_path / "table.json")
    return [cuda_registers.label_of(kernel) for kernel in kernels]


def test_the_table_is_written_and_differences_are_printed(few, capsys):
    assert cuda_registers.main(["--write"]) == 0
    assert "keeps numbers in memory" in capsys.readouterr().out
    table = json.loads(cuda_registers.TABLE.read_text(encoding="utf-8"))
    assert table["compiler"] == "nvidia-cuda-nvrtc 13.5.37"
    assert list(table["registers"]) == few
    assert cuda_registers.main([]) == 0
    assert "in the table" not in capsys.readouterr().out
    table["registers"][few[0]]["sm_90"] = 1
    cuda_registers.TABLE.write_text(json.dumps(table), encoding="utf-8")
    cuda_registers.main([])
    assert f"{few[0]}: " in capsys.readouterr().out


def test_without_a_compiler_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(cuda_registers, "find_compiler", lambda major: None)
    with pytest.raises(SystemExit):
        cuda_registers.main([])
    assert "pip install nvidia-cuda-nvrtc" in capsys.readouterr().err
