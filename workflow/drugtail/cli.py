"""The command: one verb per stage, with explicit input and output paths."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, NoReturn

import typer

from drugtail import __version__
from drugtail.commands import data, people, results, training
from drugtail.runtime.errors import DrugtailError

app = typer.Typer(
    help="A reproducible benchmark of long-tailed drug classification.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command; bad input ends with a message and status 1, not with a traceback."""
    try:
        app()
    except DrugtailError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        # An installation without an extra; what is missing in the package itself is our fault.
        package = (error.name or "").partition(".")[0]
        if package in ("", "drugtail"):
            raise
        _fail(
            f"the Python package {package} is not installed, and this command needs it; "
            "install it, or drugtail again with its extra `all`, which brings everything"
        )
    except OSError as error:
        # Some libraries give no error number, only a text.
        if error.errno is None:
            _fail(f"{error}. Nothing finished so far is lost")
        place = error.filename or "a file"
        hints = {
            errno.ENOSPC: "the disk is full; free some space and start again",
            errno.EACCES: "no permission; choose another folder or change its permissions",
            errno.EEXIST: "a file stands where a folder is needed; choose another path",
            errno.EFBIG: "the file would exceed the limit on file sizes; raise it",
            errno.EROFS: "the file system is read-only; choose another folder",
            errno.ENOTDIR: "a part of this path is a file, not a folder; choose another path",
        }
        hint = hints.get(error.errno, "mend that and start again")
        _fail(f"{place}: {os.strerror(error.errno)}: {hint}. Nothing finished so far is lost")


def _fail(message: str) -> NoReturn:
    print(f"drugtail: error: {message}", file=sys.stderr)
    raise SystemExit(1)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"drugtail {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A reproducible benchmark of long-tailed drug classification."""


# In the order of the help.
app.command()(people.recommend)
app.command()(people.init)
app.command()(data.inspect)
app.command()(data.fetch)
app.command()(data.generate)
app.command()(data.prepare)
app.command()(data.split)
app.command()(data.featurize)
app.command()(data.separability)
app.command()(training.train)
app.command()(training.tune)
app.command()(training.ensemble)
app.command()(training.predict)
app.command()(results.evaluate)
app.command()(results.collect)
app.command()(results.tabulate)
app.command()(results.plot)
app.command()(results.page)
app.command()(results.datasets)
app.command()(results.publish)
app.command()(results.merge)
app.command("import")(results.import_)
app.command()(results.retabulate)
app.command()(results.verify)
app.command()(results.track)
app.command()(people.plan)
app.command()(people.unlock)
app.command()(people.clean)
app.command()(people.check)
app.command()(people.schemas)
app.command("list")(people.list_)
