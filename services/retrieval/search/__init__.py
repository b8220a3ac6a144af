"""From a query to passages, best first."""
