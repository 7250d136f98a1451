"""A small server of files as the Hugging Face Hub serves them. `with FileHub(folder) as hub: hub.url, hub.fetched`"""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class FileHub:
    """The files of a folder as those of any repository; `fetched` is what was asked for whole."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fetched = folder, list[str]()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FileHub:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: FileHub

    def _reply(self) -> None:
        path = self.hub.folder / self.path.split("?")[0].rsplit("/", 1)[-1]
        data = path.read_bytes() if path.is_file() else b""
        self.send_response(200 if data else 404)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", "0" * 40)
        if data:
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        if self.command == "GET":
            self.hub.fetched.append(path.name)
            self.wfile.write(data)

    do_GET = do_HEAD = _reply

    def log_message(self, *_: object) -> None:
        """Say nothing."""
