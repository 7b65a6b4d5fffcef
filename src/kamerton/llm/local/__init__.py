"""A model server of one's own with OpenAI's interface: Ollama, vLLM, llama.cpp."""
