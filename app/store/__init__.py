"""Tables and every SQL query of socast."""
