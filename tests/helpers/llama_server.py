"""A real OpenAI-compatible server, llama.cpp's, with a language model of random weights.

What the model writes means nothing, but the server holds it to the JSON schema that it is sent: enough for the
protocol. Run as a script, this file is the server: it prints its address, and ends with its standard input.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

CONTEXT, CALLS = 8192, 4  # tokens (here: characters) of a prompt with its answer; calls at once
NAME = "random"
WIDTH, HEADS, LAYERS = 32, 2, 1
ROLES = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}<|assistant|>"


@dataclass(frozen=True)
class Llama:
    """A running server: its address, and its model's name."""

    url: str
    model: str


def write_model(path: Path) -> None:
    """Write a llama with random weights whose tokens are characters."""
    import numpy as np
    from gguf import GGUFWriter, TokenType

    # Printable ASCII, as byte-level BPE writes it, and no other byte: random weights would write half a character.
    tokens = [*map(chr, range(ord("!"), ord("~") + 1)), "\u0120", "\u010a", "<end>"]  # a space, a new line
    end = len(tokens) - 1

    writer = GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.NORMAL] * end + [TokenType.CONTROL])
    writer.add_token_merges(["t h"])  # some have to be there; this one makes no token
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_chat_template(ROLES)

    random = np.random.default_rng(6)

    def weights(*shape: int) -> np.ndarray:
        made = random.normal(size=shape, scale=WIDTH**-0.5).astype(np.float32)
        made[0] = made[:, 0] = 0
        return made

    def add(name: str, tensor: np.ndarray) -> None:
        writer.add_tensor(f"{name}.weight", tensor)

    # The first number of a state is always 1 and says nothing but that a quotation mark is likely: texts are short.
    reading, writing = weights(len(tokens), WIDTH), weights(len(tokens), WIDTH)
    reading[:, 0], writing[tokens.index('"'), 0] = 1, 4
    one = np.ones(WIDTH, np.float32)
    add("token_embd", reading)
    add("output", writing)
    add("output_norm", one)
    for block in (f"blk.{number}." for number in range(LAYERS)):
        add(block + "attn_norm", one)
        add(block + "ffn_norm", one)
        add(block + "attn_q", 16 * weights(WIDTH, WIDTH))  # looks at few tokens, so that answers differ
        add(block + "attn_k", weights(WIDTH, WIDTH))
        add(block + "attn_v", weights(WIDTH, WIDTH))
        add(block + "attn_output", 2 * weights(WIDTH, WIDTH))
        add(block + "ffn_gate", weights(2 * WIDTH, WIDTH))
        add(block + "ffn_up", weights(2 * WIDTH, WIDTH))
        add(block + "ffn_down", weights(WIDTH, 2 * WIDTH))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@contextmanager
def llama_server(folder: Path) -> Iterator[Llama]:
    """Run a server in a process of its own; its log is ``llama.log`` in the folder."""
    write_model(folder / "random.gguf")
    command = [sys.executable, __file__, str(folder / "random.gguf")]
    with (
        (folder / "llama.log").open("wb") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, (folder / "llama.log").read_text(errors="replace")
            with urlopen(f"{address}/health", timeout=10) as health:
                assert health.status == 200
            yield Llama(f"{address}/v1", NAME)
        finally:
            process.kill()


def _serve(model: str) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {NAME}
    params.n_ctx = CONTEXT * CALLS  # which all calls share
    params.n_parallel = CALLS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_threads_http = CALLS
    params.port = 0
    params.ui = params.warmup = params.fit_params = False
    server = xllamacpp.Server(params)
    os.write(1, f"{server.listening_address}\n".encode())
    sys.stdin.read()  # until whoever started this ends


if __name__ == "__main__":
    _serve(sys.argv[1])
