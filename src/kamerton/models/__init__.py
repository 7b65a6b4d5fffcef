"""Models that are fetched by command: the catalogue of them, where they lie, and how they get there."""
