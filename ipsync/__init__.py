"""Keeps the addresses a vendor connects from allowed in cloud firewalls."""

__version__ = "0.1.0"
