"""Kinds of tables: each module registers one, under its own name."""
