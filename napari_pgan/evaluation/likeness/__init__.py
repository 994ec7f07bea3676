"""Similarity of generated and real images, one metric per file; `likeness` computes them all with their baseline."""
