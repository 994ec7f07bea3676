"""Keyboard shortcuts that last as long as their dock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.utils.key_bindings import coerce_keybinding


class Shortcuts:
    """Keys that a dock has bound in a viewer.

    Parameters
    ----------
    viewer
        A napari viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._keys: list[str] = []

    def bind(self, key: str, function: Callable[[], None]) -> bool:
        """Bind a key and return True; return False if the viewer already uses it."""
        if coerce_keybinding(key) in self._viewer.keymap:
            return False

        def pressed(_viewer: Any) -> None:
            function()

        self._viewer.bind_key(key, pressed)
        self._keys.append(key)
        return True

    def unbind(self) -> None:
        """Release all keys."""
        for key in self._keys:
            self._viewer.bind_key(key, None)
        self._keys = []


def button_text(text: str, key: str, bound: bool) -> str:
    """Return the text of a button with its key, such as ``Sample  (Shift+S)``."""
    return f"{text}  ({key.replace('-', '+')})" if bound else text
