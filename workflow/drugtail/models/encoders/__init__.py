"""Encoders, one per module of its kind."""
