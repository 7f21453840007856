"""HTTP that ends in time, for every room that asks a server something: below feeds and verification, above nothing."""
