"""Rigid and affine registration, resampling, atlas and brain mask."""
