"""Featurizers, one per module of its name."""
