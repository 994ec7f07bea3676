"""Intensity scaling, bias correction, windows and the field of view."""
