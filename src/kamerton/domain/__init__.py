"""The leaf vocabulary: frozen values and Protocols that every other package shares; it imports none of them."""
