"""Kinds of Amazon Web Services."""
