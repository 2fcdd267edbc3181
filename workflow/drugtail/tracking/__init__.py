"""Views of finished blocks in tracking systems."""
