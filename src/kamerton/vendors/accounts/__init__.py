"""Accounts at vendors, one module each: credentials that its recogniser, voice, model and embeddings share."""
