"""The lifecycle of a pooled body reader: stated once, in a world, with its claims."""
