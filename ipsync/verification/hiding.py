"""Texts of others without a token that they repeat: what a vendor answers, and what a program says."""

from __future__ import annotations

SHORTEST_SECRET = 8
"""A text of fewer characters is no token that could be given away, and replacing it would garble what is told."""


def hidden(text: str, token: str | None) -> str:
    """Return a text without the token, whoever repeats it there."""
    return text.replace(token, "(the token)") if token and len(token) >= SHORTEST_SECRET else text
