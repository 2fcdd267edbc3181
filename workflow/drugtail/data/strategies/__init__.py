"""Split strategies, a module each; see `drugtail.data.strategy`."""
