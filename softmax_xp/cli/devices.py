# SPDX-License-Identifier: BSD-3-Clause
"""``softmax-xp devices``."""

__all__ = ["devices"]

from dataclasses import asdict

import typer

from softmax_xp.cli.options import AsJson
from softmax_xp.cli.report import as_json, one_line
from softmax_xp.devices import device_reports


def devices(*, json: AsJson = False) -> None:
    """List what is usable here, and what is missing.

    One line for each backend: for one that cannot be used, why, and the command that installs it.
    """
    reports = [asdict(report) for report in device_reports()]
    if json:
        typer.echo(as_json(reports))
        return
    width = max(len(report["device"]) for report in reports)
    for report in reports:
        usable = "yes" if report["usable"] else "no"
        install = f" Install it with: {report['install']}" if report["install"] else ""
        typer.echo(f"{report['device']:<{width}}  {usable:<3}  {one_line(report['reason'])}{install}")
