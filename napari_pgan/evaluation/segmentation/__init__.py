"""What segmenters say of images and masks: what they teach, and whether they fit each other."""
