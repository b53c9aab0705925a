#!/usr/bin/env python3
"""Write the reference's golden answers of a shipped model, after its pictures or its network have changed.

    python scripts/make_golden_answers.py [NAME]

The reference is ONNX Runtime in FP32; a card that has no ONNX file is answered by LiteRT. An owner's model gets its
answers from `soteirad models add`.
"""

from __future__ import annotations

import sys

from soteirad.detect.card import load_card
from soteirad.detect.golden import read_shipped, write_answers
from soteirad.tools.models import answer, reference_engine

if __name__ == "__main__":
    card = load_card(sys.argv[1] if len(sys.argv) > 1 else "nanodet-g-416")
    if card.golden is None:
        raise SystemExit(f"{card.name}: name the file in the card first: golden: {card.name}.golden.npz")
    images = read_shipped()
    write_answers(card.folder / card.golden, answer(card, images), str(reference_engine(card)))
    print(f"{card.folder / card.golden}: {len(images)} pictures")
