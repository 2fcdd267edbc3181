"""Benchmarks: their plan, their progress, and publishing them."""
