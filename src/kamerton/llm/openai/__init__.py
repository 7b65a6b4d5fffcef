"""Every server with OpenAI's chat completions."""
