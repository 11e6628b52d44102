"""Report: one table of rates, and the page, figures and tables that are drawn from it."""
