"""`python -m panns_tf tag | detect | embed`."""
