"""Drugtail: a reproducible benchmark of long-tailed drug classification."""

__version__ = "0.2.0"
