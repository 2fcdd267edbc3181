"""Classifying new molecules with what a block has learned."""
