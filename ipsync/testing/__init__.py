"""For whoever writes a kind of target: a cloud in memory and what tests need to build on."""
