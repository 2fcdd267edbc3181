"""Encoders, classifiers and the network that joins them."""
