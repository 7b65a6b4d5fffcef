"""The `kamerton` command."""
