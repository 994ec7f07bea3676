"""What is raised when the user can put something right, or has stopped a work."""


class InputError(Exception):
    """One sentence that says what is wrong, in which file or value, and what to do.

    The command prints it and exits with code 2; the plugin shows it as a notification. Anything else that escapes is
    a fault of ours.
    """


class Stopped(Exception):
    """A work was asked to stop, and its state is on the disk.

    Parameters
    ----------
    text
        For the person: what is kept.
    code
        The command's exit code: 130 after Ctrl-C and 143 after SIGTERM, as if it had died of it, so that a script does
        not take the work for finished; 0 after a training's stop file, since that was somebody's decision.
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code
