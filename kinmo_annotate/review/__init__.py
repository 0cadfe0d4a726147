"""People judge the sentences: samples, the page, the store of judgements, agreement, and better prompts."""
