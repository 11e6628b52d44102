"""Backends: how requests become completions. A server that is not OpenAI-compatible would be one more module here."""
