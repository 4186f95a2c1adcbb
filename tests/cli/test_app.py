# SPDX-License-Identifier: BSD-3-Clause
"""What all commands share: help, version, and how errors and warnings look."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from softmax_xp.cli import app, main
from softmax_xp.errors import DataNotFoundError, InvalidValueError, TrainingDivergedError
from softmax_xp.version import __version__
from tests.house.source import ROOT


def test_help_lists_the_commands(run):
    result = run("--help")
    assert result.exit_code == 0
    for command in ("train", "predict", "evaluate", "devices"):
        assert f"\n  {command}" in result.stdout


@pytest.mark.parametrize("command", ["train", "predict", "evaluate", "devices"])
def test_each_command_has_help(run, command):
    result = run(command, "-h")
    assert result.exit_code == 0
    assert f"{command} [OPTIONS]" in result.stdout


def test_no_arguments_show_help(run):
    assert "Commands:" in run().output


def test_version(run):
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"softmax-xp {__version__}\n")


def test_unknown_options_and_commands_are_usage_errors(run):
    for arguments in (["fly"], ["train"], ["train", "digits", "--fast"], ["train", "digits", "--epochs", "many"]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "Traceback" not in result.output


def failing(monkeypatch, error):
    """Let `softmax-xp devices` raise."""

    def fail():
        raise error

    monkeypatch.setattr("softmax_xp.cli.devices.device_reports", fail)
    return CliRunner().invoke(app, ["devices"])


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InvalidValueError("`reg` must be\n  small."), 2, "error: `reg` must be small.\n"),
        (DataNotFoundError("`path` must exist."), 2, "error: `path` must exist.\n"),
        (PermissionError(13, "Permission denied", "x"), 2, "error: [Errno 13] Permission denied: 'x'\n"),
        (TrainingDivergedError("The loss.", model=None, history=None, step=3), 3, "error: The loss.\n"),
    ],
)
def test_errors_are_one_line(monkeypatch, error, code, text):
    result = failing(monkeypatch, error)
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", text)


def test_a_bug_is_no_message(monkeypatch):
    result = failing(monkeypatch, ZeroDivisionError("a bug"))
    assert isinstance(result.exception, ZeroDivisionError)


def test_ctrl_c_outside_training_exits_with_130(monkeypatch):
    assert failing(monkeypatch, KeyboardInterrupt()).exit_code == 130


def test_a_closed_pipe_is_no_error(monkeypatch):
    result = failing(monkeypatch, BrokenPipeError(32, "Broken pipe"))
    assert "error" not in result.stderr


@pytest.mark.filterwarnings("default::softmax_xp.errors.SoftmaxXPWarning")
def test_warnings_are_one_line(run, folder, tmp_path):
    result = run(
        *("train", folder / "arrays.npz", "--device", "cpu", "-q", "-o", tmp_path / "m"),
        *("--batch-size", 1000, "--epochs", 1),
    )
    assert result.exit_code == 0
    assert result.stderr == "warning: `batch_size` is 1000 and there are 84 samples: each step uses all of them.\n"


def test_main_runs_the_app(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["softmax-xp", "--version"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert capsys.readouterr().out == f"softmax-xp {__version__}\n"


def test_the_package_is_a_command():
    run = subprocess.run(
        [sys.executable, "-m", "softmax_xp", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout == f"softmax-xp {__version__}\n"
