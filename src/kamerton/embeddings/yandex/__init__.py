"""Text embeddings of Yandex Foundation Models over REST: `text-search-query` and `text-search-doc`."""
