"""A local Compute Engine, checked against Google's own description of its API."""
