"""Exceptions for mistakes that the user can correct and for work that the user stopped."""


class InputError(Exception):
    """A mistake that the user can correct: one sentence that names the file or value and the remedy.

    The command prints the sentence and exits with code 2; the plugin shows it as a notification. Any other exception
    that escapes is a bug.
    """


class Stopped(Exception):
    """The work was stopped on request, and its state is saved.

    Parameters
    ----------
    text
        Message for the user: what has been saved.
    code
        Exit code of the command: 130 after Ctrl-C and 143 after SIGTERM, so that a script does not treat the work as
        finished; 0 after a stop file, which is a deliberate end.
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code
