"""Positions of classes in embedding space."""
