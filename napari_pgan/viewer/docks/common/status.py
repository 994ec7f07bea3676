"""The line in which a dock says what it does, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable

from napari.utils.notifications import notification_manager, show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

from napari_pgan.errors import InputError


class Status(QLabel):
    """The last that was said. What cannot be used is refused in a sentence; a fault of ours goes to napari, whole."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("", parent)
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def say(self, text: str) -> None:
        """Say something."""
        self.setText(text)

    def refuse(self, error: InputError, aloud: bool = True) -> None:
        """Say what is wrong; `aloud` in a notification, too, unless that has just been said."""
        text = str(error)
        text = text[:1].upper() + text[1:]
        if aloud and self.text() != text:
            show_error(text)
        self.setText(text)

    def fail(self, error: Exception) -> None:
        """Say that something did not work, whatever it was."""
        if isinstance(error, InputError):
            self.refuse(error)
        else:
            self.setText("Something went wrong; the last result stays.")
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def attempt(self, action: Callable[[], None]) -> bool:
        """Whether it worked; if it was refused, why is said."""
        try:
            action()
        except InputError as error:
            self.refuse(error)
            return False
        return True
