"""Gate 3's detector: model cards, backends, heads."""
