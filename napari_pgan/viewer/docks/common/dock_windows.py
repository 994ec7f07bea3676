"""Opens the docks of the plugin."""

from __future__ import annotations

from typing import Any

_PLUGIN = "napari-pgan"


def show_dock(viewer: Any, name: str) -> Any:
    """Open a dock as a tab on the right, or bring it to the front; return its widget.

    A dock below another one would be too low.

    Parameters
    ----------
    viewer
        A napari viewer.
    name
        Name of the dock in the manifest.
    """
    dock, widget = viewer.window.add_plugin_dock_widget(_PLUGIN, name, tabify=True)
    dock.show()
    dock.raise_()
    return widget
