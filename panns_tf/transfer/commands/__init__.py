"""The commands of transfer."""
