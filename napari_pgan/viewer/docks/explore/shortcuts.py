"""Shortcuts of a dock, which end with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.utils.key_bindings import coerce_keybinding


class Shortcuts:
    """Keys of a viewer that a dock has bound.

    Parameters
    ----------
    viewer
        A napari viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._keys: list[str] = []

    def bind(self, key: str, function: Callable[[], None]) -> bool:
        """Bind a key; False where it already has a meaning in this viewer, which it keeps."""
        if coerce_keybinding(key) in self._viewer.keymap:
            return False

        def pressed(_viewer: Any) -> None:
            function()

        self._viewer.bind_key(key, pressed)
        self._keys.append(key)
        return True

    def unbind(self) -> None:
        """Give all keys back."""
        for key in self._keys:
            self._viewer.bind_key(key, None)
        self._keys = []


def printed(text: str, key: str, bound: bool) -> str:
    """A button's text with its key, where that is bound: ``Sample  (Shift+S)``."""
    return f"{text}  ({key.replace('-', '+')})" if bound else text
