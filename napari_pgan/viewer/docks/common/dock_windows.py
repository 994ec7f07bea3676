"""Where docks that we open ourselves come to stand."""

from __future__ import annotations

from typing import Any

_PLUGIN = "napari-pgan"


def show_dock(viewer: Any, name: str) -> Any:
    """Open a dock of ours as a tab beside those on the right, or bring it to the front where it is open.

    Below another one, neither would have room.

    Parameters
    ----------
    viewer
        A napari viewer.
    name
        As the manifest has it.

    Returns
    -------
    QWidget
        The dock's widget.
    """
    dock, widget = viewer.window.add_plugin_dock_widget(_PLUGIN, name, tabify=True)
    dock.show()
    dock.raise_()
    return widget
