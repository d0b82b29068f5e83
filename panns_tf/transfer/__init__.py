"""Transfer to new tasks: the paper's six, and one's own sounds."""
