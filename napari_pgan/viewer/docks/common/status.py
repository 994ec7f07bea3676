"""Status line of a dock."""

from __future__ import annotations

from collections.abc import Callable

from napari.utils.notifications import notification_manager, show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

from napari_pgan.errors import InputError


class Status(QLabel):
    """The last message. Invalid input is reported in one sentence, any other error as a napari notification."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("", parent)
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def say(self, text: str) -> None:
        """Show a message."""
        self.setText(text)

    def refuse(self, error: InputError, notify: bool = True) -> None:
        """Show what is wrong with the input; with `notify` also as a notification, unless it is already shown."""
        text = sentence(error)
        if notify and self.text() != text:
            show_error(text)
        self.setText(text)

    def fail(self, error: Exception) -> None:
        """Show any error."""
        if isinstance(error, InputError):
            self.refuse(error)
        else:
            self.setText("Something went wrong; the last result stays.")
            notify_error(error)

    def attempt(self, action: Callable[[], None]) -> bool:
        """Call `action`; return False and show the error if the input is invalid."""
        try:
            action()
        except InputError as error:
            self.refuse(error)
            return False
        return True


def sentence(error: InputError) -> str:
    """Return the message of an error with a capital letter."""
    text = str(error)
    return text[:1].upper() + text[1:]


def notify_error(error: Exception) -> None:
    """Show an error as a napari notification; the traceback only if it is not about the input."""
    if isinstance(error, InputError):
        show_error(sentence(error))
    else:
        notification_manager.receive_error(type(error), error, error.__traceback__)
