"""The one settings tree, read once and validated at once; assistant folders; and the composition root."""
