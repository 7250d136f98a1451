"""A small server that speaks what huggingface_hub's upload asks of the Hub: make a repository, take files, commit.

Parquet files go the LFS way (batch, PUT), all others in the commit itself. `with HubServer() as hub: hub.files`
"""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class HubServer:
    """Listens on a port of its own; what was sent is in its attributes."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.messages: list[str] = []
        self.tokens: set[str | None] = set()
        self.refuse: int | None = None
        self._stored: dict[str, bytes] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> HubServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """What the Hub says to a request."""
        if self.refuse:
            return self.refuse, {"error": "no"}
        if method == "PUT":
            self._stored[path.rsplit("/", 1)[-1]] = body
            return 200, {}
        if path == "/api/repos/create":
            asked = json.loads(body)
            self.repositories[f"{asked.get('organization')}/{asked['name']}"] = asked
            return 200, {"url": f"{self.url}/datasets/{asked.get('organization')}/{asked['name']}"}
        if "/preupload/" in path:
            files = json.loads(body)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(".parquet") else "regular",
                 "shouldIgnore": False, "oid": None}
                for f in files
            ]  # fmt: skip
            return 200, {"files": modes}
        if path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**asked, "actions": {"upload": {"href": f"{self.url}/store/{asked['oid']}"}}}
                for asked in json.loads(body)["objects"]
            ]
            return 200, {"transfer": "basic", "objects": objects}
        if "/commit/" in path:
            return self._commit([json.loads(line) for line in body.splitlines() if line.strip()])
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path.startswith("/api/datasets/"):
            return 200, {"id": path.split("/datasets/")[1].split("/revision")[0], "sha": "0" * 40, "siblings": []}
        return 404, {"error": f"{method} {path}"}

    def _commit(self, lines: list[dict[str, Any]]) -> tuple[int, Any]:
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.messages.append(value["summary"])
            elif line["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.files[value["path"]] = self._stored[value["oid"]]
        return 200, {"commitUrl": f"{self.url}/datasets/org/name/commit/1", "commitOid": "1" * 40, "hookOutput": ""}


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer

    def _reply(self) -> None:
        self.hub.tokens.add(self.headers.get("Authorization"))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, content = self.hub.answer(self.command, self.path.split("?")[0], body)
        said = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PUT = _reply

    def log_message(self, *_: object) -> None:
        """Say nothing."""
