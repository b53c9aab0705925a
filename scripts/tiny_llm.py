"""Write a tiny vision language model and serve it with llama.cpp's own server; `scripts/llm_server` runs this.

The model is a real one to the server (a llama of two layers, and a LLaVA-style picture encoder with its projector),
but it was never trained: its weights are random numbers from a fixed seed. It sees the picture, since what it says
changes with it, and it understands nothing. So that its answers have an end, two things are laid into the weights:

* one entry of every embedding is a constant, which gives each token a fixed weight: control characters are unlikely;
* each word of ``SENTENCES`` makes the following one likely, and the last word the end of the string or answer.

    tiny_llm.py write FOLDER
    tiny_llm.py serve FOLDER --port N [--slots N] [--api-key KEY] [--verbose]
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

NAME = "tiny-vision"
MODEL, PROJECTOR = "tiny-vision.gguf", "tiny-vision-mmproj.gguf"
SEED = 20240229
WIDTH, HEADS, HIDDEN, LAYERS = 64, 4, 128, 2
CONTEXT = 8192  # tokens; a picture takes (IMAGE / PATCH) squared of them
IMAGE, PATCH = 224, 14  # pixels
CONSTANT = 8.0  # the first entry of every embedding; the others have a spread of 1
SHARPNESS, SURROUNDINGS = 4.0, 1.0  # how choosy attention is, and how much of what it finds is passed on
NOISE = 1.0  # the spread of the logits that comes from what the model was given
FOLLOWS = 12.0  # what the next word of a sentence gets on top
USER, ASSISTANT, SYSTEM, END = "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"
CONTROL_TOKENS = ("<s>", "</s>", USER, ASSISTANT, SYSTEM, END)
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# No word comes twice in all of them: a word alone decides what follows it.
SENTENCES = (
    "A person with parcel walks to the front door",
    "Someone in dark clothes stands near our gate",
    "Two people are talking beside a parked car",
    "The cat sleeps under an empty wooden bench",
    "Nothing unusual can be seen here",
    "It is too blurred for me",
)

Array = NDArray[np.float32]


class Vocabulary:
    """The tokens in their order: special ones, all bytes, and words with their beginnings, which tokenizing needs."""

    def __init__(self) -> None:
        self.texts: list[str] = ["<unk>", *CONTROL_TOKENS]
        self.kinds = [gguf.TokenType.UNKNOWN] + [gguf.TokenType.CONTROL] * len(CONTROL_TOKENS)
        self.first_byte = len(self.texts)
        for byte in range(256):
            self._add(f"<0x{byte:02X}>", gguf.TokenType.BYTE)
        self._add("▁", gguf.TokenType.NORMAL)
        self.sentences = [["▁" + word for word in sentence.split()] for sentence in SENTENCES]
        self.words = {word for sentence in self.sentences for word in sentence}
        for beginning in sorted({word[:n] for word in self.words for n in range(2, len(word) + 1)}):
            self._add(beginning, gguf.TokenType.NORMAL)
        # Longer is better, so that a word wins over its beginning.
        self.scores = [float(len(text)) if kind == gguf.TokenType.NORMAL else 0.0
                       for text, kind in zip(self.texts, self.kinds, strict=True)]  # fmt: skip
        self._index = {text: i for i, text in enumerate(self.texts)}

    def _add(self, text: str, kind: gguf.TokenType) -> None:
        self.texts.append(text)
        self.kinds.append(kind)

    def index(self, text: str) -> int:
        """Return the number of a token; a single character of ASCII is a byte."""
        return self.first_byte + ord(text) if len(text) == 1 and text.isascii() else self._index[text]

    def weights(self) -> Array:
        """Return how likely each token is whatever came before, as a logit."""
        weights = np.full(len(self.texts), -12.0, np.float32)
        for character in map(chr, range(32, 127)):
            weights[self.index(character)] = -3.0 if character.isalpha() else -5.0
        for characters, weight in (("}", 2.0), (",]", 1.0), ('"{[:', 0.0), (".", -2.0)):
            for character in characters:
                weights[self.index(character)] = weight
        for digit in "0123456789":
            weights[self.index(digit)] = -2.0
        for word in self.words:
            weights[self.index(word)] = -1.0
        weights[self.index("</s>")] = -1.0
        return weights

    def pairs(self) -> Iterator[tuple[int, int, float]]:
        """Yield (token, the one that it makes likely, by how much)."""
        for sentence in self.sentences:
            tokens = [self.index(word) for word in sentence]
            for start in ('"', ASSISTANT):
                yield self.index(start), tokens[0], FOLLOWS
            yield from ((a, b, FOLLOWS) for a, b in pairwise(tokens))
            # In a string of JSON the answer can't end: the quotation mark is what remains.
            yield tokens[-1], self.index("</s>"), 1.2 * FOLLOWS
            yield tokens[-1], self.index('"'), FOLLOWS
        # Numbers are short, and one that may have a fraction may get one.
        yield self.index("0"), self.index("."), FOLLOWS
        for digit in "123456789":
            yield self.index("."), self.index(digit), FOLLOWS / 2
            yield self.index(digit), self.index(","), FOLLOWS / 2


class Weights:
    """Random weights in a row, each with a spread that keeps what goes through at its size."""

    def __init__(self, writer: gguf.GGUFWriter, seed: int) -> None:
        self._writer = writer
        self._rng = np.random.default_rng(seed)

    def normal(self, *shape: int, spread: float = 1.0) -> Array:
        """Return normally distributed numbers with this spread."""
        return (self._rng.standard_normal(shape) * spread).astype(np.float32)

    def matrix(self, name: str, rows: int, columns: int, gain: float = 1.0, skips: str = "") -> None:
        """Add a matrix that `skips` the constant: it isn't seen in the "input", or not touched in the "output"."""
        values = self.normal(rows, columns, spread=gain / columns**0.5)
        if skips == "input":
            values[:, 0] = 0.0
        elif skips == "output":
            values[0] = 0.0
        self.put(name, values)

    def put(self, name: str, values: Array) -> None:
        """Add a tensor as it is."""
        self._writer.add_tensor(name, np.ascontiguousarray(values, np.float32))

    def ones(self, name: str) -> None:
        """Add the scale of a norm."""
        self.put(name, np.ones(WIDTH, np.float32))

    def zeros(self, name: str, size: int = WIDTH) -> None:
        """Add a bias that does nothing."""
        self.put(name, np.zeros(size, np.float32))


def write_language_model(path: Path) -> None:
    """Write the model of language with its vocabulary and chat template."""
    vocabulary = Vocabulary()
    size = len(vocabulary.texts)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(NAME)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(size)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(vocabulary.texts)
    writer.add_token_scores(vocabulary.scores)
    writer.add_token_types(vocabulary.kinds)
    writer.add_unk_token_id(vocabulary.index("<unk>"))
    writer.add_bos_token_id(vocabulary.index("<s>"))
    writer.add_eos_token_id(vocabulary.index("</s>"))
    writer.add_eot_token_id(vocabulary.index(END))
    writer.add_add_bos_token(False)  # the chat template has it
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)

    weights = Weights(writer, SEED)
    embedding = weights.normal(size, WIDTH)
    embedding[:, 0] = CONSTANT
    weights.put("token_embd.weight", embedding)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        weights.ones(f"{block}.attn_norm.weight")
        weights.matrix(f"{block}.attn_q.weight", WIDTH, WIDTH, gain=SHARPNESS, skips="input")
        weights.matrix(f"{block}.attn_k.weight", WIDTH, WIDTH, gain=SHARPNESS, skips="input")
        weights.matrix(f"{block}.attn_v.weight", WIDTH, WIDTH, skips="input")
        weights.matrix(f"{block}.attn_output.weight", WIDTH, WIDTH, gain=SURROUNDINGS, skips="output")
        weights.ones(f"{block}.ffn_norm.weight")
        weights.matrix(f"{block}.ffn_gate.weight", HIDDEN, WIDTH, skips="input")
        weights.matrix(f"{block}.ffn_up.weight", HIDDEN, WIDTH, skips="input")
        weights.matrix(f"{block}.ffn_down.weight", WIDTH, HIDDEN, skips="output")
    weights.ones("output_norm.weight")
    # After the last norm an embedding is about this much smaller: its constant, and one like the rest of it.
    shrink = 2.0**0.5
    output = weights.normal(size, WIDTH, spread=NOISE * shrink / WIDTH**0.5)
    for opener in '":▁':
        # What comes after these, as yes or no, true or false, depends on nothing but what the model was given.
        given = embedding[vocabulary.index(opener), 1:]
        output[:, 1:] -= np.outer(output[:, 1:] @ given, given) / (given @ given)
    for token, follower, gain in vocabulary.pairs():
        output[follower, 1:] += embedding[token, 1:] * gain * shrink / (WIDTH - 1)
    output[:, 0] = vocabulary.weights() * shrink / CONSTANT
    weights.put("output.weight", output)
    finish(writer)


def write_projector(path: Path) -> None:
    """Write the encoder of pictures, and the projector that makes tokens of what it gives."""
    places = (IMAGE // PATCH) ** 2
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_name(NAME)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", True)
    writer.add_uint32("clip.vision.image_size", IMAGE)
    writer.add_uint32("clip.vision.patch_size", PATCH)
    writer.add_uint32("clip.vision.embedding_length", WIDTH)
    writer.add_uint32("clip.vision.feed_forward_length", HIDDEN)
    writer.add_uint32("clip.vision.projection_dim", WIDTH)
    writer.add_uint32("clip.vision.block_count", LAYERS)
    writer.add_uint32("clip.vision.attention.head_count", HEADS)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])

    weights = Weights(writer, SEED + 1)
    weights.put("v.class_embd", weights.normal(WIDTH))
    weights.put("v.patch_embd.weight", weights.normal(WIDTH, 3, PATCH, PATCH, spread=4.0 / PATCH))
    weights.put("v.position_embd.weight", weights.normal(places + 1, WIDTH, spread=0.3))
    norms = ["v.pre_ln"]
    for layer in range(LAYERS):
        block = f"v.blk.{layer}"
        norms += [f"{block}.ln1", f"{block}.ln2"]
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            weights.matrix(f"{block}.{part}.weight", WIDTH, WIDTH)
            weights.zeros(f"{block}.{part}.bias")
        weights.matrix(f"{block}.ffn_up.weight", HIDDEN, WIDTH)
        weights.zeros(f"{block}.ffn_up.bias", HIDDEN)
        weights.matrix(f"{block}.ffn_down.weight", WIDTH, HIDDEN)
        weights.zeros(f"{block}.ffn_down.bias")
    for norm in norms:
        weights.ones(f"{norm}.weight")
        weights.zeros(f"{norm}.bias")
    weights.matrix("mm.0.weight", WIDTH, WIDTH)
    weights.zeros("mm.0.bias")
    weights.matrix("mm.2.weight", WIDTH, WIDTH, gain=2.0, skips="output")
    bias = np.zeros(WIDTH, np.float32)
    bias[0] = CONSTANT
    weights.put("mm.2.bias", bias)
    finish(writer)


def finish(writer: gguf.GGUFWriter) -> None:
    """Write all that was added."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    import xllamacpp

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    folder = Path(arguments.folder)
    params = xllamacpp.CommonParams()
    params.model.path = str(folder / MODEL)
    params.mmproj.path = str(folder / PROJECTOR)
    params.model_alias = {NAME}
    params.hostnames = ["127.0.0.1"]
    params.port = arguments.port
    params.api_keys = [arguments.api_key] if arguments.api_key else []
    params.n_ctx = CONTEXT * arguments.slots
    params.n_parallel = arguments.slots
    params.n_gpu_layers = 0
    params.mmproj_use_gpu = False
    params.fit_params = False
    params.offline = True
    params.ui = False
    params.cache_ram_mib = 0
    params.cpuparams.n_threads = 1
    params.cpuparams.poll = 0
    params.cpuparams_batch.n_threads = 1
    params.cpuparams_batch.poll = 0
    params.verbosity = 3 if arguments.verbose else 1
    started = time.monotonic()
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        print(f"error: llama.cpp could not serve {folder} on port {arguments.port}: {error}", file=sys.stderr)
        return 1
    print(f"ready: {server.listening_address}/v1 model {NAME} ({time.monotonic() - started:.1f} s)", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    del server
    return 0


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write")
    writing.add_argument("folder")
    serving = commands.add_parser("serve")
    serving.add_argument("folder")
    serving.add_argument("--port", type=int, required=True)
    serving.add_argument("--slots", type=int, default=1, help="requests at once (default: 1)")
    serving.add_argument("--api-key", default=os.environ.get("LLM_SERVER_API_KEY", ""))
    serving.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    if arguments.command == "serve" and not 0 < arguments.port < 65536:
        parser.error(f"--port {arguments.port}: a port is 1 to 65535")
    if arguments.command == "serve":
        return serve(arguments)
    folder = Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_language_model(folder / MODEL)
    write_projector(folder / PROJECTOR)
    return 0


if __name__ == "__main__":
    sys.exit(main())
