# SPDX-License-Identifier: BSD-3-Clause
"""The commands gathered, and what happens when one of them fails."""

__all__ = ["app", "main"]

import logging
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from softmax_xp.cli.devices import devices
from softmax_xp.cli.evaluate import evaluate
from softmax_xp.cli.predict import predict
from softmax_xp.cli.report import one_line
from softmax_xp.cli.train import train
from softmax_xp.errors import SoftmaxXPError, TrainingDivergedError
from softmax_xp.version import __version__


class _Commands(TyperGroup):
    """Turns the errors and warnings of this package into one line each; anything else is a bug with its traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except BrokenPipeError:
                raise  # `softmax-xp predict ... | head` is no error; Typer ends quietly
            except TrainingDivergedError as error:
                raise _failure(error, 3) from None
            except (SoftmaxXPError, OSError) as error:
                raise _failure(error, 2) from None


def _failure(error: Exception, code: int) -> typer.Exit:
    """Print the error and return the end of the program."""
    typer.echo(f"error: {one_line(str(error))}", err=True)
    return typer.Exit(code)


def _show_warning(message: Warning | str, *_where: Any, **_more: Any) -> None:
    """Print a warning without the line of code that gave it."""
    typer.echo(f"warning: {one_line(str(message))}", err=True)


def _show_version(asked: bool) -> None:  # noqa: FBT001 - Typer's form of a callback
    """Print the version and stop."""
    if asked:
        typer.echo(f"softmax-xp {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _describe(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train, use and evaluate softmax classifiers, on a CPU or a GPU."""
    del version  # its callback did everything


for _command in (train, predict, evaluate, devices):
    app.command()(_command)


def main() -> None:
    """Run the command line on the arguments of the process, and end it with an exit code.

    Examples
    --------
    In a program or a test, Typer's runner takes the arguments and catches the end.

    >>> from typer.testing import CliRunner
    >>> from softmax_xp.cli import app
    >>> CliRunner().invoke(app, ["train", "no-such-file.csv"]).exit_code
    2
    """
    # The commands report in their own words what the package logs.
    logging.getLogger("softmax_xp").addHandler(logging.NullHandler())
    app()
