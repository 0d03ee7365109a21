"""Search over runs: columns of all runs of a project in memory, filters, orders, pages, tables of chosen columns."""
