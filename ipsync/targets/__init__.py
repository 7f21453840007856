"""Kinds of targets, a slice each: what the config says, how marks are written, who reads and who writes."""
