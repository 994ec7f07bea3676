"""The command `napari-pgan-train`: subcommands, exit codes and error messages."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from napari_pgan import __version__
from napari_pgan.errors import InputError, Stopped
from napari_pgan.progress import say

app = typer.Typer(
    name="napari-pgan-train",
    help="Train progressively grown GANs of medical images with their segmentation, and sample from them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _version(requested: bool) -> None:
    if requested:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; works in any position.")
    ] = False,
) -> None:
    pass


def _register() -> None:
    from napari_pgan.cli import demo, encode, encoder, evaluate, fit, info, phantom, prepare, sample, steer

    for module in (demo, phantom, prepare, fit, sample, steer, encoder, encode, evaluate, info):
        app.command()(getattr(module, module.__name__.rpartition(".")[2]))


_register()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 success, 1 internal error, 2 invalid input, 130 stopped by Ctrl-C."""
    options = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in options
    options = [option for option in options if option != "--debug"]
    try:
        result = app(options, prog_name="napari-pgan-train", standalone_mode=False)
        code, line = result if isinstance(result, int) else 0, ""
    except Exception as error:
        if debug:
            raise
        code, line = _code_and_message(error)
    except KeyboardInterrupt:
        code, line = 130, ""
    if code == 130 and not line:  # some versions of typer convert Ctrl-C to this code
        line = "Stopped. Written files stay; the same command continues."
    if line:
        say(line)
    return code


def _code_and_message(error: Exception) -> tuple[int, str]:
    if isinstance(error, typer.Exit):
        return error.exit_code, ""
    if isinstance(error, typer.Abort):
        return 130, ""
    if isinstance(error, InputError):
        return 2, f"Error: {error}"
    if isinstance(error, Stopped):
        return error.code, str(error)
    if callable(message := getattr(error, "format_message", None)):  # click's UsageError; its module depends on typer
        return 2, f"Error: {message()}" if message() else ""  # empty after the help was shown
    if isinstance(error, OSError) and error.strerror:
        return 2, f"Error: {error.filename or 'the disk'}: {error.strerror}"
    return 1, f"Internal error ({type(error).__name__}: {error}); run it again with --debug and report what it shows"
