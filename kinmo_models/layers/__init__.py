"""Parts that models are made of: packed transformers and the frozen language model."""
