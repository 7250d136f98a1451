"""The server that other tests trust: it delays, limits and counts as it was told to, and leaves no orphan."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fake_server import FakeServer
from tests.fake_server.asking import KEYS, body, content, fails, post


@pytest.fixture(scope="module")
def running() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def server(running: FakeServer) -> FakeServer:
    running.reset(settings=True)
    return running


def test_a_hang_lasts_until_the_client_goes_and_is_counted_abandoned(server: FakeServer) -> None:
    server.configure(faults=[{"kind": "hang"}])
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=0.3)
    connection.request("POST", "/v1/chat/completions", json.dumps(body()), KEYS)
    server.wait_for(lambda stats: stats["in_flight"] == 1)
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    stats = server.wait_for(lambda stats: stats["in_flight"] == 0)
    assert (stats["abandoned"], stats["answered"], stats["status"]) == (1, 0, {})
    assert 0.2 < stats["latency"]["sum_s"] < 3


def test_a_client_that_leaves_during_the_delay_is_not_answered(server: FakeServer) -> None:
    server.configure(latency={"fixed_ms": 5000})
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", "/v1/chat/completions", json.dumps(body()), KEYS)
    server.wait_for(lambda stats: stats["in_flight"] == 1)
    connection.close()
    stats = server.wait_for(lambda stats: stats["in_flight"] == 0)
    assert (stats["abandoned"], stats["answered"]) == (1, 0)
    assert stats["latency"]["sum_s"] < 4


def test_the_rate_limit_is_a_bucket_that_refills(server: FakeServer) -> None:
    server.configure(rate_limit={"rpm": 600, "burst": 5})
    begun = time.monotonic()
    answers = [post(server, body(str(i))) for i in range(20)]
    refused = [headers for status, _, headers in answers if status == 429]
    assert 5 <= 20 - len(refused) <= 6 + 10 * (time.monotonic() - begun)
    assert refused[0]["retry-after"] == "1"
    assert 0 < int(refused[0]["retry-after-ms"]) <= 100
    time.sleep(0.25)
    assert post(server, body("later"))[0] == 200
    assert server.stats()["rate_limit"] == {"accepted": 21 - len(refused), "rejected": len(refused)}


def test_a_rejected_request_does_not_use_up_an_attempt(server: FakeServer) -> None:
    server.configure(rate_limit={"rpm": 6, "burst": 1}, scripts=[{"replies": ["first", "second"]}])
    assert content(server, body()) == "first"
    assert fails(server, body())
    server.configure(rate_limit=None)
    assert content(server, body()) == "second"


def test_other_keys_and_other_models_are_refused(server: FakeServer) -> None:
    server.configure(auth={"api_key": "k"}, models=["m", "n"])
    assert post(server, body())[0] == 200
    assert post(server, body(), **{"authorization": "", "api-key": "k"})[0] == 200
    status, value, _ = post(server, body(), authorization="Bearer other")
    assert (status, value["error"]["code"]) == (401, "invalid_api_key")
    status, value, _ = post(server, {**body(), "model": "z"})
    assert (status, value["error"]["code"]) == (404, "model_not_found")


def test_azure_s_path_names_the_model(server: FakeServer) -> None:
    request = {"messages": body()["messages"]}
    status, value, _ = post(server, request, "/openai/deployments/my-gpt/chat/completions?api-version=2024-06-01")
    assert (status, value["model"]) == (200, "my-gpt")


def test_a_request_that_is_none_is_answered_400(server: FakeServer) -> None:
    assert post(server, {"messages": []})[0] == 400
    assert post(server, {"model": "m"})[1]["error"]["message"] == "you must provide messages"
    assert post(server, body(stream=True))[0] == 400
    assert server.stats()["status"] == {"400": 3}


def test_what_is_paid_twice_is_counted(server: FakeServer) -> None:
    for text in ("a", "b", "a", "a"):
        post(server, body(text))
    stats = server.stats()
    assert (stats["requests"], stats["distinct"], stats["answered"]) == (4, 2, 4)
    assert (stats["repeats"], stats["answered_again"], stats["max_attempts"]) == (2, 2, 3)
    counted = {one["last_user"]: (one["attempts"], one["answered"]) for one in server.bodies().values()}
    assert counted == {"a": (3, 3), "b": (1, 1)}
    server.configure(track=False)
    assert server.stats()["repeats"] is None
    assert server.bodies() == {}


def test_every_request_is_accounted_for_and_delayed_ones_are_in_flight(server: FakeServer) -> None:
    kinds = ["429", "drop", "drop_mid", "html", "refusal"]
    server.configure(latency={"fixed_ms": 200}, faults=[{"kind": kind, "ratio": 0.1} for kind in kinds])

    def ask(i: int) -> None:
        with suppress(http.client.HTTPException, ConnectionError):
            post(server, body(str(i)))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(64)))
    stats = server.stats()
    assert 10 <= stats["max_in_flight"] <= 16
    assert stats["in_flight"] == 0
    assert stats["requests"] == 64 == sum(stats["status"].values()) + stats["dropped"] + stats["abandoned"]
    assert stats["latency"]["count"] == 64
    assert stats["latency"]["mean_ms"] == pytest.approx(200)
    assert server.bound_s(16) == pytest.approx(0.8)
    assert server.window_s(10) == pytest.approx(1.4)


def test_latencies_follow_the_lognormal_and_repeat(server: FakeServer) -> None:
    server.configure(latency={"median_ms": 2, "p99_ms": 20, "cap_ms": 25})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: post(server, body(str(i))), range(1500)))
    first = sorted(server.latencies_ms())
    assert first[750] == pytest.approx(2, rel=0.15)
    assert first[1485] == pytest.approx(20, rel=0.3)
    assert first[-1] <= 25
    server.reset()
    for i in range(20):
        post(server, body(str(i)))
    assert set(server.latencies_ms()) <= set(first)


def test_a_connection_is_kept_alive_and_counted_once(server: FakeServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    for delay in (0, 5):
        server.configure(latency={"fixed_ms": delay})
        for i in range(5):
            connection.request("POST", "/v1/chat/completions", json.dumps(body(str(i))), KEYS)
            assert connection.getresponse().read()
    # In chunks, as a client sends a body whose length it does not know.
    connection.request("POST", "/v1/chat/completions", iter([b'{"model":"m",', json.dumps(body()).encode()[1:]]), KEYS)
    assert connection.getresponse().status == 200
    connection.close()
    stats = server.stats()
    assert (stats["connections"], stats["requests"]) == (1, 11)


def test_a_request_in_pieces_and_two_in_one_piece_are_both_read(server: FakeServer) -> None:
    server.configure(latency={"fixed_ms": 20})
    payload = json.dumps(body()).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % len(payload)
    with socket.create_connection(("127.0.0.1", server.port)) as wire:
        wire.sendall(head[:30])
        time.sleep(0.02)
        wire.sendall(head[30:] + b"Expect: 100-continue\r\n\r\n")
        assert wire.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(payload + head + b"Connection: close\r\n\r\n" + payload)
        received = b""
        while data := wire.recv(65_536):
            received += data
    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert server.stats()["bytes_out"] == len(received)


def test_models_are_listed_and_unknown_paths_are_404(server: FakeServer) -> None:
    server.configure(models=["a", "b"])
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/v1/models")
    assert [one["id"] for one in json.load(connection.getresponse())["data"]] == ["a", "b"]
    connection.close()
    assert post(server, body(), "/chat/completions")[0] == 404
    assert server.stats()["requests"] == 0


def test_reset_keeps_settings_unless_told_otherwise(server: FakeServer) -> None:
    server.configure(faults=[{"kind": "500"}])
    assert fails(server, body())
    server.reset()
    assert server.stats()["requests"] == 0
    assert fails(server, body())
    server.reset(settings=True)
    assert not fails(server, body())


def test_a_restart_keeps_the_port_and_the_settings() -> None:
    with FakeServer(seed=1) as server:
        port = server.port
        server.configure(faults=[{"kind": "418"}])
        server.restart()
        assert server.port == port
        assert post(server, body())[0] == 418
        server.stop()
        with pytest.raises(ConnectionRefusedError):
            post(server, body())


def test_the_server_dies_with_a_killed_parent(tmp_path: Path) -> None:
    program = (
        "import time\nfrom tests.fake_server import FakeServer\ns = FakeServer()\nprint(s.process.pid, flush=True)\n"
    )
    root = Path(__file__).parents[1]
    parent = subprocess.Popen(
        [sys.executable, "-c", program + "time.sleep(60)"], cwd=root, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    """Whether the process runs; one that ended and waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return not stat.parent.parent.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_tls(tmp_path: Path) -> None:
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    with FakeServer(tls=(cert, key), latency={"fixed_ms": 1}) as server:
        context = ssl.create_default_context(cafile=cert)
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=5)
        connection.request("POST", "/v1/chat/completions", json.dumps(body()), KEYS)
        assert connection.getresponse().status == 200
        connection.close()
        assert server.base_url.startswith("https://")
        assert server.stats()["answered"] == 1
