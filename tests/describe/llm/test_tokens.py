"""Tokens of a request: by an endpoint's tokenizer, by a vocabulary at hand, by pieces of text."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from kinmo_annotate.describe.llm import tokens
from kinmo_annotate.describe.llm.form import RESPONSE_FORMAT
from kinmo_annotate.describe.llm.prices import load_prices
from kinmo_annotate.describe.llm.tokens import open_counter, pieces, schema_of, server_root
from kinmo_annotate.schema.records import MotionError

PRICES = load_prices()
BODY = {
    "model": "m",
    "messages": [{"role": "system", "content": "one two three"}, {"role": "user", "content": "four five"}],
    "response_format": RESPONSE_FORMAT,
}


@contextmanager
def server(answer, redirect: str = "") -> Iterator[SimpleNamespace]:
    """Serve POSTs on 127.0.0.1: `answer(path, body)` gives JSON, or None for 404."""
    seen = SimpleNamespace(url="", requests=[])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.do_POST()

        def do_POST(self):
            text = self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}"
            seen.requests.append((self.path, json.loads(text), self.headers.get("Authorization")))
            if redirect:
                self.send_response(302)
                self.send_header("Location", redirect)
                self.end_headers()
                return
            said = answer(self.path, json.loads(text))
            self.send_response(404 if said is None else 200)
            self.end_headers()
            self.wfile.write(said if isinstance(said, bytes) else json.dumps(said).encode())

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    seen.url = f"http://127.0.0.1:{httpd.server_port}/v1"
    try:
        yield seen
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def llama(path, body):
    """Behave like llama.cpp: a token per word, two around each message, one at the beginning."""
    if path == "/tokenize":
        words = body["content"].split()
        return {"tokens": list(range(len(words) + (1 if body.get("add_special") else 0)))}
    if path == "/apply-template":
        text = " ".join(f"<{m['role']}> {m['content']} <end>" for m in body["messages"])
        return {"prompt": text}
    return None


def vllm(path, body):
    """Behave like vLLM: refuse what it does not know, and count messages itself."""
    if path != "/tokenize" or "content" in body:
        return None
    if "messages" in body:
        texts = [m["content"] for m in body["messages"]]
        return {"tokens": list(range(sum(len(text.split()) + 4 for text in texts))), "count": 0}
    return {"tokens": body["prompt"].split()}


class TestEndpoint:
    def test_llama_cpp_counts_with_its_template(self):
        with server(llama) as one:
            counter, notes = open_counter("m", PRICES, base_url=one.url)
            found = counter.request(BODY)
        assert (found.motion, found.static, found.schema, found.total) == (2, 3 + 4 + 1, 0, 10)
        assert counter.exact
        assert not notes

    def test_llama_cpp_without_a_template_counts_the_texts(self):
        def plain(path, body):
            return llama(path, body) if path == "/tokenize" else None

        with server(plain) as one:
            assert open_counter("m", PRICES, base_url=one.url)[0].request(BODY).total == 5

    def test_vllm_counts_messages_itself(self):
        with server(vllm) as one:
            counter, _ = open_counter("m", PRICES, base_url=one.url)
            assert counter.request(BODY).total == 3 + 4 + 2 + 4
            assert counter.text("a b c", "answer") == 3

    @pytest.mark.parametrize("said", [None, {}, {"tokens": 3}, [1], b"<html>", {"count": 1}])
    def test_an_endpoint_that_cannot_count_is_done_without(self, said):
        with server(lambda path, body: said) as one:
            counter, notes = open_counter("gpt-4o-mini", PRICES, base_url=one.url)
        assert not counter.exact
        assert one.url.removesuffix("/v1") in notes[0]

    def test_an_endpoint_that_is_not_there_is_done_without(self):
        counter, notes = open_counter("gpt-4o-mini", PRICES, base_url="http://127.0.0.1:9/v1")
        assert not counter.exact
        assert "127.0.0.1:9" in notes[0]

    def test_the_key_goes_to_the_endpoint_and_into_no_note(self):
        with server(lambda path, body: None) as one:
            _, notes = open_counter("m", PRICES, base_url=one.url, key="sk-secret")
        assert {key for _, _, key in one.requests} == {"Bearer sk-secret"}
        assert "sk-secret" not in " ".join(notes)

    def test_the_key_does_not_follow_to_another_server(self):
        with server(llama) as other, server(llama, redirect=other.url) as one:
            open_counter("m", PRICES, base_url=one.url, key="sk-secret")
        assert other.requests
        assert all(key is None for _, _, key in other.requests)

    def test_a_text_that_comes_again_is_asked_for_once(self):
        with server(llama) as one:
            counter, _ = open_counter("m", PRICES, base_url=one.url)
            before = len(one.requests)
            assert counter.text("the same", "answer") == counter.text("the same", "answer") == 2
            assert len(one.requests) == before + 1


class TestServerRoot:
    @pytest.mark.parametrize("url", ["http://a:1/v1", "http://a:1/v1/", "http://a:1", "http://a:1/"])
    def test_it_is_above_v1(self, url):
        assert server_root(url) == "http://a:1"

    @pytest.mark.parametrize("url", ["", "a:1/v1", "file:///etc/passwd", "ftp://a/v1", "http://"])
    def test_only_http(self, url):
        with pytest.raises(MotionError, match="--base-url"):
            server_root(url)


class TestVocabulary:
    @pytest.fixture
    def at_hand(self, tmp_path, monkeypatch):
        """A vocabulary in tiktoken's cache, and a tiktoken that gives a token per letter."""
        name = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
        (tmp_path / sha1(name.encode()).hexdigest()).write_bytes(b"")
        monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
        encoding = SimpleNamespace(encode=lambda text, disallowed_special: list(text))
        fake = SimpleNamespace(get_encoding=lambda wanted: encoding)
        monkeypatch.setitem(sys.modules, "tiktoken", fake)
        return fake

    @pytest.mark.usefixtures("at_hand")
    def test_it_is_used_where_it_is_at_hand(self):
        counter, notes = open_counter("gpt-4o-mini", PRICES)
        found = counter.request(BODY)
        assert (counter.way, counter.exact, notes) == ("tiktoken", True, [])
        assert found.motion == len("four five")
        assert found.static == len("one two three") + 2 * 3 + 3
        assert found.schema == len(schema_of(BODY))

    def test_it_is_never_downloaded(self, at_hand, tmp_path, monkeypatch):
        def download(wanted):
            raise AssertionError("downloads")

        monkeypatch.setattr(at_hand, "get_encoding", download)
        for folder in ("", str(tmp_path / "empty")):
            monkeypatch.setenv("TIKTOKEN_CACHE_DIR", folder)
            assert tokens._tiktoken("o200k_base") is None

    def test_one_that_breaks_is_done_without(self, at_hand, monkeypatch):
        def broken(wanted):
            raise ValueError("damaged")

        monkeypatch.setattr(at_hand, "get_encoding", broken)
        assert not open_counter("gpt-4o-mini", PRICES)[0].exact


class TestPieces:
    @pytest.mark.parametrize(
        ("text", "count"),
        [
            ("", 0),
            ("The left arm rises.", 5),
            ("1.2 s", 4),
            ("12345", 2),
            ("left_arm | -", 5),
            ("a\n\nb", 3),
            ("été", 3),
            ("走る", 2),
        ],
    )
    def test_words_digits_and_signs(self, text, count):
        assert pieces(text) == count

    def test_every_part_has_its_own_ratio(self):
        counter, _ = open_counter("gpt-4o-mini", PRICES)
        ratio = PRICES.tokenizers["o200k_base"].per_piece
        found = counter.request(BODY)
        assert found.static == pytest.approx(3 * ratio("static") + 9)
        assert found.motion == pytest.approx(2 * ratio("motion"))
        assert found.schema == pytest.approx(pieces(schema_of(BODY)) * ratio("schema"))
        assert counter.text("a b", "answer") == pytest.approx(2 * ratio("answer"))

    def test_an_unknown_model_is_said_to_be_unknown_and_reads_no_schema(self):
        counter, notes = open_counter("SmolLM2", PRICES)
        assert counter.request(BODY).schema == 0
        assert "not in the list" in notes[0]

    def test_a_body_without_a_schema(self):
        body = {"messages": BODY["messages"]}
        assert open_counter("gpt-4o", PRICES)[0].request(body).schema == 0
