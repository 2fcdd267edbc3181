"""Figures, one per module of its name."""
