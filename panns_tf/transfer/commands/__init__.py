"""The commands that train on new tasks and use what came of it."""
