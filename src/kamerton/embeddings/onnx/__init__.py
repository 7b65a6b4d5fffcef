"""Any sentence-embedding model in a folder of one's own, run by onnxruntime."""
