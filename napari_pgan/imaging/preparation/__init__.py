"""Many subjects into a store, with a quality report."""
