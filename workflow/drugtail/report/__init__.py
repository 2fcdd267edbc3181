"""From metrics to tables, figures and the page."""
