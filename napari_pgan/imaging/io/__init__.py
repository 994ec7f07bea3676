"""Image files to volumes and back, with their geometry."""
