"""Intensity scaling, bias field correction and cropping to a field of view."""
