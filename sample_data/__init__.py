"""Sample data sets of imfl-tui."""
