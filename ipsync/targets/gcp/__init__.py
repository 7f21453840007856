"""Kinds of Google Cloud."""
