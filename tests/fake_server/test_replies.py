"""What the server answers: default replies, schemas, every fault kind, scripts, and the forms of its headers."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fake_server import FakeServer
from tests.fake_server.asking import body, content, post


@pytest.fixture(scope="module")
def running() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def server(running: FakeServer) -> FakeServer:
    running.reset(settings=True)
    return running


def test_an_answer_has_openai_s_form_and_echoes_the_last_user_message(server: FakeServer) -> None:
    status, value, _ = post(server, body("two words"))
    assert status == 200
    assert value["object"] == "chat.completion"
    assert value["model"] == "m"
    choice = value["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["content"].startswith("echo: two words #")
    assert value["usage"] == {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}


def test_sampling_changes_the_text_only_above_temperature_0(server: FakeServer) -> None:
    cold = {content(server, body(seed=seed)) for seed in range(3)}
    warm = {content(server, body(seed=seed, temperature=0.7)) for seed in range(3)}
    again = {content(server, body(seed=seed, temperature=0.7)) for seed in range(3)}
    assert len(cold) == 1
    assert len(warm) == 3
    assert warm == again
    server.configure(vary=True)
    assert len({content(server, body("same", temperature=1)) for _ in range(3)}) == 3
    assert len({c["message"]["content"] for c in post(server, body(n=3, temperature=1))[1]["choices"]}) == 3


@pytest.mark.parametrize(
    "wrap",
    [
        lambda schema: {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}},
        lambda schema: {"guided_json": schema},
        lambda schema: {"structured_outputs": {"json": schema}},
    ],
)
def test_a_schema_is_kept_to(server: FakeServer, wrap: Any) -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "score": {"type": "integer", "minimum": 1, "maximum": 5},
            "weight": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            "label": {"enum": ["good", "bad"]},
            "ok": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
            "note": {"anyOf": [{"type": "string", "maxLength": 8}, {"type": "null"}]},
            "map": {"type": "object", "additionalProperties": {"type": "integer"}},
            "day": {"type": "string", "format": "date"},
            "child": {"$ref": "#/$defs/node"},
        },
        "required": ["score", "weight", "label", "ok", "tags", "note", "map", "day", "child"],
        "additionalProperties": False,
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                "required": ["next"],
            }
        },
    }
    seen = set()
    for i in range(20):
        text = content(server, body(str(i), **wrap(schema)))
        assert text == content(server, body(str(i), **wrap(schema)))
        value = json.loads(text)
        assert set(value) == set(schema["required"])
        assert value["score"] in range(1, 6)
        assert isinstance(value["score"], int)
        assert 0 < value["weight"] <= 1
        assert value["label"] in ("good", "bad")
        assert isinstance(value["ok"], bool)
        assert [type(tag) for tag in value["tags"]] == [str, str]
        assert value["note"] is None or len(value["note"]) <= 8
        assert all(isinstance(one, int) for one in value["map"].values())
        assert time.strptime(value["day"], "%Y-%m-%d")
        assert "next" in value["child"]
        seen.add(text)
    assert len(seen) > 15


def test_a_choice_is_one_of_those_offered(server: FakeServer) -> None:
    assert content(server, body(structured_outputs={"choice": ["yes", "no"]})) in ("yes", "no")


ERROR_KINDS = {
    "429": (429, "rate_limit_exceeded"),
    "429_quota": (429, "insufficient_quota"),
    "500": (500, None),
    "503": (503, None),
    "502": (502, None),
    "401": (401, "invalid_api_key"),
    "403": (403, None),
    "404_model": (404, "model_not_found"),
    "400_context": (400, "context_length_exceeded"),
    "400": (400, None),
}


@pytest.mark.parametrize("kind", ERROR_KINDS)
def test_an_error_kind_answers_its_status_and_code(server: FakeServer, kind: str) -> None:
    server.configure(faults=[{"kind": kind, "attempts": 1}])
    status, value, _ = post(server, body())
    assert (status, value["error"]["code"]) == ERROR_KINDS[kind]
    assert set(value["error"]) == {"message", "type", "param", "code"}
    assert post(server, body())[0] == 200
    stats = server.stats()
    assert stats["faults"] == {kind: 1}
    assert stats["status"] == {str(status): 1, "200": 1}
    assert (stats["answered"], stats["repeats"]) == (1, 0)


@pytest.mark.parametrize("kind", ["drop", "drop_mid", "reset"])
def test_a_dropped_connection_gives_no_whole_answer(server: FakeServer, kind: str) -> None:
    server.configure(faults=[{"kind": kind, "attempts": 1}])
    wanted = {"drop": http.client.RemoteDisconnected, "drop_mid": http.client.IncompleteRead, "reset": ConnectionError}
    with pytest.raises(wanted[kind]):
        post(server, body())
    assert post(server, body())[0] == 200
    stats = server.stats()
    assert (stats["dropped"], stats["answered"], stats["requests"]) == (1, 1, 2)


@pytest.mark.parametrize("kind", ["truncated_json", "malformed_json", "html"])
def test_a_body_that_is_not_json_is_not_counted_as_answered(server: FakeServer, kind: str) -> None:
    server.configure(faults=[{"kind": kind}])
    status, value, headers = post(server, body())
    assert status == 200
    assert isinstance(value, str)
    assert ("html" in headers["content-type"]) == (kind == "html")
    assert (server.stats()["answered"], server.stats()["status"]) == (0, {"200": 1})


def test_answers_that_are_whole_and_of_no_use(server: FakeServer) -> None:
    kinds = ["empty_choices", "refusal", "content_filter", "length", "empty_content"]
    server.configure(faults=[{"kind": kind, "match": f"^{kind}$"} for kind in kinds])
    answers = {kind: post(server, body(kind))[1]["choices"] for kind in kinds}
    assert answers["empty_choices"] == []
    message = answers["refusal"][0]["message"]
    assert (message["content"], bool(message["refusal"])) == (None, True)
    assert answers["content_filter"][0]["finish_reason"] == "content_filter"
    assert answers["length"][0]["finish_reason"] == "length"
    assert answers["length"][0]["message"]["content"].startswith("echo: le")
    assert answers["empty_content"][0]["message"]["content"] == ""
    assert server.stats()["answered"] == 4


@pytest.mark.parametrize("track", [True, False])
def test_a_ratio_of_requests_fails_for_the_given_attempts_only(server: FakeServer, track: bool) -> None:
    faults = [{"kind": "500", "ratio": 0.2, "attempts": 2}, {"kind": "503", "ratio": 0.3, "attempts": 1}]
    server.configure(track=track, faults=faults)
    rounds = [[post(server, body(str(i)))[0] for i in range(200)] for _ in range(3)]
    assert 20 <= rounds[0].count(500) <= 60
    assert 40 <= rounds[0].count(503) <= 80
    assert [status == 500 for status in rounds[0]] == [status == 500 for status in rounds[1]]
    assert rounds[1].count(503) == 0
    assert rounds[2] == [200] * 200
    server.reset()
    assert [post(server, body(str(i)))[0] for i in range(200)] == rounds[0]
    server.configure(seed=1)
    server.reset()
    assert [post(server, body(str(i)))[0] for i in range(200)] != rounds[0]


def test_draws_per_attempt_let_a_retry_through(server: FakeServer) -> None:
    server.configure(faults=[{"kind": "500", "ratio": 0.5, "per_attempt": True}])
    tries = [post(server, body())[0] for _ in range(20)]
    assert {200, 500} == set(tries)


@pytest.mark.parametrize(
    ("header", "seconds", "value"),
    [
        ("retry-after", 2, "2"),
        ("retry-after", 0.5, "0.5"),
        ("retry-after-ms", 0.25, "250"),
        ("x-ratelimit-reset-requests", 61, "1m1s"),
        ("x-ratelimit-reset-requests", 0.12, "120ms"),
    ],
)
def test_retry_headers_come_in_their_senders_forms(server: FakeServer, header: str, seconds: float, value: str) -> None:
    server.configure(faults=[{"kind": "429", "retry_after": seconds, "header": header}])
    assert post(server, body())[2][header] == value


def test_a_script_gives_the_k_th_attempt_the_k_th_reply(server: FakeServer) -> None:
    replies = [
        {"fault": "429", "retry_after": 1},
        {"status": 502, "body": "bad gateway", "content_type": "text/plain", "headers": {"x-a": "b"}},
        {"content": {"score": 3}, "finish_reason": "length"},
        "last",
    ]
    server.configure(scripts=[{"match": "scripted", "replies": replies}])
    answers = [post(server, body("scripted")) for _ in range(5)]
    assert [status for status, _, _ in answers] == [429, 502, 200, 200, 200]
    assert answers[1][1] == "bad gateway"
    assert answers[1][2]["x-a"] == "b"
    assert json.loads(answers[2][1]["choices"][0]["message"]["content"]) == {"score": 3}
    assert answers[2][1]["choices"][0]["finish_reason"] == "length"
    assert [value["choices"][0]["message"]["content"] for _, value, _ in answers[3:]] == ["last", "last"]
    assert content(server, body("other")).startswith("echo: other")
    server.configure(scripts=[{"replies": ["a", "b"], "cycle": True}])
    assert [content(server, body("new")) for _ in range(4)] == ["a", "b", "a", "b"]


def test_a_script_can_drop_hang_and_write_raw_bytes(server: FakeServer) -> None:
    replies = [{"drop": True}, {"hang_s": 0.2, "content": "late"}, {"raw": "HTTP/1.1 200 OK\r\n\r\nnot json"}]
    server.configure(scripts=[{"replies": replies}])
    with pytest.raises(http.client.RemoteDisconnected):
        post(server, body())
    begun = time.monotonic()
    assert content(server, body()) == "late"
    assert time.monotonic() - begun >= 0.19
    assert post(server, body())[1] == "not json"


def test_usage_reasoning_and_cached_tokens(server: FakeServer) -> None:
    server.configure(usage=False, reasoning="hm hm")
    value = post(server, body())[1]
    assert "usage" not in value
    assert value["choices"][0]["message"]["reasoning_content"] == "hm hm"
    server.configure(usage=True, reasoning=False, cached_tokens={"block": 4})
    shared = "one two three four five six seven eight"
    cached = [
        post(server, body(f"{shared} {tail}"))[1]["usage"]["prompt_tokens_details"]["cached_tokens"]
        for tail in ("a b c d", "e f g h", "e f g h")
    ]
    assert cached == [0, 8, 12]
    assert server.stats()["cached_tokens"] == 20


def test_embeddings_depend_on_the_text_alone(server: FakeServer) -> None:
    _, value, _ = post(server, {"model": "e", "input": ["a", "b", "a"]}, "/v1/embeddings")
    vectors = [one["embedding"] for one in value["data"]]
    assert vectors[0] == vectors[2] != vectors[1]
    assert len(vectors[0]) == 8
    assert sum(x * x for x in vectors[0]) == pytest.approx(1, abs=1e-4)
    _, value, _ = post(server, {"model": "e", "input": "a", "encoding_format": "base64"}, "/v1/embeddings")
    assert isinstance(value["data"][0]["embedding"], str)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latencies": {}}, "did you mean 'latency'"),
        ({"latency": {"median_ms": 5}}, "latency: give fixed_ms"),
        ({"faults": [{"kind": "429x"}]}, "no fault kind '429x'"),
        ({"faults": [{"kind": "429", "ration": 1}]}, "unknown ration"),
        ({"scripts": [{"match": "x"}]}, "'replies' is missing"),
        ({"rate_limit": {"burst": 1}}, "'rpm' is missing"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_reason(server: FakeServer, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        server.configure(**settings)
