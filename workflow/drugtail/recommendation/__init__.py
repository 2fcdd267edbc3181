"""From a table to the method that suits it: a first benchmark, and its answer."""
