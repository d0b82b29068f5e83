"""The networks: a table, a few builders, and the models they make."""
