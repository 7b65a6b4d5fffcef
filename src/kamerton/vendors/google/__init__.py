"""What the engines of Google Cloud share: credentials, regional endpoints, failures in words, checks."""
