"""Naming heads by a language model against bare calls of the SDK, on a server that answers after 200 ms.

    python benchmarks/label.py

Both make the same calls with the same concurrency; clipdb also writes the prompts, checks the answers and commits them.
The server runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import openai
from measure import alternate, report

from clipdb.ingest.names.llm.client import Question
from clipdb.ingest.names.llm.head_naming import Naming, label_by_llm, plan
from clipdb.ingest.names.llm.server import Server
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.writer import Reader, Writer
from clipdb.schema.names import text_id

POOL = "benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", type=int, default=64)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--latency", type=float, default=0.2, help="Seconds that the server takes to answer.")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder, serving(options.latency) as url:
        index = spanned(Path(folder) / "index.clipdb", options.heads)
        server, naming = Server("benchmark", url), Naming(POOL)
        questions = plan(Reader(index), naming, server.name).questions
        seeds = iter(range(1000))

        def label() -> None:
            # A model's name that is new each time, so that no head is skipped.
            named = label_by_llm(index, Server(f"benchmark-{next(seeds)}", url), naming, options.concurrency)
            assert named.answered == options.heads, named

        outcome = alternate(lambda: bare(url, questions, options.concurrency), label, options.repeats)
    report(
        f"label, {options.heads} heads, a server that answers after {1000 * options.latency:.0f} ms, "
        f"{options.concurrency} calls at once: seconds",
        sorted(outcome.candidate)[len(outcome.candidate) // 2],
        most=3,
        detail=f"ideal {options.latency * options.heads / options.concurrency:.2f} s",
    )
    report(
        "the same over bare calls of the SDK",
        outcome.ratio,
        most=1.5,
        detail=f"{outcome.spread}, {min(outcome.candidate):.2f} against {min(outcome.baseline):.2f} s",
    )


def bare(url: str, questions: tuple[Question[Any], ...], concurrency: int) -> None:
    """Make the same calls with the SDK and a pool of threads."""
    with openai.OpenAI(api_key="none", base_url=url) as client, ThreadPoolExecutor(concurrency) as pool:

        def call(question: Question[Any]) -> Any:
            messages: Any = [{"role": role, "content": content} for role, content in question.messages]
            return client.chat.completions.parse(model="bare", messages=messages, response_format=question.answer)

        assert all(one.choices[0].message.parsed for one in pool.map(call, questions))


def spanned(index: Path, heads: int) -> Path:
    """Make an index of heads with twenty spans each."""
    texts = [(f"description {number} of something that can be seen", f"property {number % 12}") for number in range(20)]
    with Writer(index, "benchmark", {}, create=True) as writer, writer.transaction() as connection:
        members = [
            {"pool": POOL, "text_id": text_id(text), "position": place, "property": tag}
            for place, (text, tag) in enumerate(texts)
        ]
        put(connection, "pool_texts", members)
        spans = [
            {"model_id": "ViT/none", "layer": head // 12, "head": head % 12, "pool": POOL, "rank": rank}
            | {"text_id": text_id(text), "text": text, "variance_explained": 0.3 / rank, "run": writer.run}
            for head in range(heads)
            for rank, (text, _) in enumerate(texts, start=1)
        ]
        put(connection, "spans", spans)
    return index


@contextmanager
def serving(latency: float) -> Iterator[str]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(latency, there), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/v1"
    finally:
        process.terminate()


def serve(latency: float, announce: Connection) -> None:
    """Answer every question with the first property of its schema, after a while."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            form = asked["response_format"]["json_schema"]["schema"]["properties"]
            answer = {"head": form["head"]["const"], "rationale": "They fit.", "confidence": 90}
            answer["property"] = form["property"]["enum"][0]
            message = {"role": "assistant", "content": json.dumps(answer)}
            whole = {"id": "1", "object": "chat.completion", "created": 0, "model": asked["model"]}
            whole["choices"] = [{"index": 0, "finish_reason": "stop", "message": message}]
            body = json.dumps(whole).encode()
            time.sleep(latency)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body)

        def log_message(self, format: str, *values: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    announce.send(server.server_port)
    server.serve_forever()


if __name__ == "__main__":
    main()
