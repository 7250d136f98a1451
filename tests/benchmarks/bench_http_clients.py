"""Which HTTP client should carry the calls? The same POST over each, in turn, on one local server, plain and with TLS.

    python -m tests.benchmarks.bench_http_clients --calls 5000 --concurrency 256

Prints calls a second and CPU milliseconds a call (of this process), medians over rounds; the clients take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import ssl
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.fake_server import FakeServer

BODY = json.dumps({"model": "m", "temperature": 0, "messages": [{"role": "user", "content": "hello " * 20}]}).encode()
HEADERS = {"Authorization": "Bearer none", "Content-Type": "application/json"}
Post = Callable[[], Awaitable[bytes]]


async def _with_aiohttp(url: str, ca: str | None, work: Callable[[Post], Awaitable[None]]) -> None:
    import aiohttp

    context = ssl.create_default_context(cafile=ca) if ca else None
    connector = aiohttp.TCPConnector(limit=0, ssl=context) if context else aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:

        async def post() -> bytes:
            async with session.post(url, data=BODY) as response:
                return await response.read()

        await work(post)


async def _with_pyreqwest(url: str, ca: str | None, work: Callable[[Post], Awaitable[None]]) -> None:
    from pyreqwest.client import ClientBuilder

    builder = ClientBuilder().default_headers(HEADERS).http1_only()
    if ca:
        builder = builder.add_root_certificate_pem(Path(ca).read_bytes())
    async with builder.build() as client:

        async def post() -> bytes:
            response = await client.post(url).body_bytes(BODY).build().send()
            return bytes(await response.bytes())

        await work(post)


async def _with_httpx(url: str, ca: str | None, work: Callable[[Post], Awaitable[None]]) -> None:
    import httpx

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    context = ssl.create_default_context(cafile=ca) if ca else True
    async with httpx.AsyncClient(limits=limits, verify=context, headers=HEADERS, timeout=60) as client:

        async def post() -> bytes:
            return (await client.post(url, content=BODY)).content

        await work(post)


CLIENTS = {"aiohttp": _with_aiohttp, "pyreqwest": _with_pyreqwest, "httpx": _with_httpx}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(client: str, url: str, ca: str | None, calls: int, concurrency: int, uvloop: bool) -> tuple[float, float]:
    """(calls a second, CPU milliseconds a call)."""
    took: list[float] = []

    async def work(post: Post) -> None:
        await asyncio.gather(*(post() for _ in range(concurrency)))  # connections are opened beforehand
        left = iter(range(calls))

        async def worker() -> None:
            for _ in left:
                await post()

        cpu, wall = _cpu(), time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(concurrency)))
        took.extend([time.perf_counter() - wall, _cpu() - cpu])

    if uvloop:
        import uvloop as loops

        loops.run(CLIENTS[client](url, ca, work))
    else:
        asyncio.run(CLIENTS[client](url, ca, work))
    return calls / took[0], took[1] / calls * 1000


def _certificate(folder: str) -> tuple[str, str]:
    cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", cert]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth"]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", default="aiohttp,pyreqwest")
    parser.add_argument("--latency-ms", type=float, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for scheme, tls in (("http", None), ("https", _certificate(folder))):
            with FakeServer(latency={"fixed_ms": given.latency_ms}, track=False, tls=tls) as server:
                url = f"{server.base_url}/chat/completions"
                ca = tls[0] if tls else None
                found: dict[str, list[tuple[float, float]]] = {}
                for _ in range(given.rounds):
                    for client in given.clients.split(","):
                        for loop in (False, True):
                            name = f"{client}{' + uvloop' if loop else ''}"
                            figure = measure(client, url, ca, given.calls, given.concurrency, loop)
                            found.setdefault(name, []).append(figure)
                for name, figures in found.items():
                    rate, cpu = (statistics.median(column) for column in zip(*figures, strict=True))
                    print(f"{scheme:5}  {name:20}  {rate:8,.0f} calls/s  {cpu:.3f} ms CPU a call", flush=True)


if __name__ == "__main__":
    main()
