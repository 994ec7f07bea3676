"""Detection of training images that a model reproduces."""
