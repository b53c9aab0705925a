"""Vision language models: what they answer, what may be spent on them, and who has to wait."""
