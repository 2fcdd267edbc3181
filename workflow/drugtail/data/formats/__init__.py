"""Kinds of files that hold tables, a module each; see `drugtail.data.table_format`."""
