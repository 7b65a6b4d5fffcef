"""Festival, Debian's Russian voice, in processes of its own."""
