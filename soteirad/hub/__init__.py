"""The hub process: supervisor, journal, outbox."""
