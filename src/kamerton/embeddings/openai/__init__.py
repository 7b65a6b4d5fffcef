"""Any server with OpenAI's `/v1/embeddings`: OpenAI, Ollama, vLLM, llama.cpp, text-embeddings-inference, Yandex's."""
