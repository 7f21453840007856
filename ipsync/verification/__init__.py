"""Asking somebody else whether the doors are really open: after a change, and before the next one."""
