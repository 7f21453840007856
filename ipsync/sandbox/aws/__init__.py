"""A local AWS: moto, and what AWS refuses that moto lets pass."""
