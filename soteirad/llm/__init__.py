"""Gate 4: questions that a vision language model answers about confirmed events."""
