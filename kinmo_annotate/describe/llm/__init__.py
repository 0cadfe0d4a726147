"""The describer `openai`: a language model writes the sentences, through any OpenAI-compatible endpoint."""
