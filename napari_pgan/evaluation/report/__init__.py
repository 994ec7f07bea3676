"""The results of an evaluation as an HTML page and as JSON."""
