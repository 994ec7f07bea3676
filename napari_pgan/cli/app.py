"""The command `napari-pgan-train`: options in, one call, one sentence when something is wrong."""

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


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")] = False,
) -> None:
    pass


def _register() -> None:
    from napari_pgan.cli import (
        demo,
        encode,
        encoder,
        evaluate,
        fit,
        info,
        phantom,
        prepare,
        sample,
        steer,
    )  # fmt: skip

    for module in (demo, phantom, prepare, fit, sample, steer, encoder, encode, evaluate, info):
        app.command()(getattr(module, module.__name__.rpartition(".")[2]))


_register()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 done, 1 a fault of ours, 2 bad input, 130 stopped by Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        result = app(words, prog_name="napari-pgan-train", standalone_mode=False)
        code, line = result if isinstance(result, int) else 0, ""
    except Exception as error:
        if debug:
            raise
        code, line = _one_line(error)
    except KeyboardInterrupt:
        code, line = 130, ""
    if code == 130 and not line:  # some versions of typer turn Ctrl-C into it
        line = "Stopped. What was written is kept; the same command does the rest."
    if line:
        say(line)
    return code


def _one_line(error: Exception) -> tuple[int, str]:
    if isinstance(error, typer.Exit):
        return error.exit_code, ""
    if isinstance(error, typer.Abort):
        return 130, ""
    if isinstance(error, InputError):
        return 2, f"Error: {error}"
    if isinstance(error, Stopped):
        return error.code, str(error)
    if callable(message := getattr(error, "format_message", None)):  # of wrong usage; its class moved between typers
        return 2, f"Error: {message()}" if message() else ""  # empty: the help was shown instead
    if isinstance(error, OSError) and error.strerror:
        return 2, f"Error: {error.filename or 'the disk'}: {error.strerror}"
    return 1, f"Internal error ({type(error).__name__}: {error}); run it again with --debug and report what it shows"
