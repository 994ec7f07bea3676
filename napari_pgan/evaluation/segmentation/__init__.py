"""Metrics that use segmenters: usefulness of images for training, and agreement of images and masks."""
