"""Progress under the cells of a notebook, in a real Jupyter kernel."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fake_server import FakeServer

jupyter_client = pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")
from jupyter_core.utils import ensure_event_loop  # noqa: E402

_S = 60


class Kernel:
    """A kernel that runs cells one after the other."""

    def __init__(self) -> None:
        self._manager, self._client = jupyter_client.manager.start_new_kernel(kernel_name="python3")

    def run(self, code: str) -> list[str]:
        """What a cell shows, as plain text: every display and every redrawing of one. Raises AssertionError."""
        shown: list[str] = []

        def collect(message: dict[str, Any]) -> None:
            content = message["content"]
            assert message["msg_type"] != "error", "\n".join(content["traceback"])
            if message["msg_type"] in ("display_data", "update_display_data"):
                assert content["data"]["text/html"].startswith("<pre")
                shown.append(content["data"]["text/plain"])
            elif message["msg_type"] == "stream":
                shown.append(content["text"])

        self._client.execute_interactive(code, timeout=_S, output_hook=collect, stop_on_error=False)
        return shown

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        with warnings.catch_warnings():  # Jupyter's client leaves its event loop and its sockets to the collector
            warnings.simplefilter("ignore", ResourceWarning)
            ensure_event_loop().close()
            del self._client, self._manager
            gc.collect()


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    yield kernel
    kernel.close()


def test_a_notebook_shows_scripts_and_queries_as_they_go(kernel: Kernel, fake_server: FakeServer) -> None:
    fake_server.configure(latency={"fixed_ms": 100})
    kernel.run(
        "import duckdb, distil_sql\n"
        "con = distil_sql.register(duckdb.connect())\n"
        f"url = '{fake_server.base_url}'\n"
        "model = f\"CREATE MODEL generator (TYPE openai, model 'm', base_url '{url}', concurrency 8);\""
    )
    script = kernel.run(
        "state = distil_sql.run(model + \"CREATE TABLE t AS SELECT text_generation('a' || i) AS x "
        'FROM range(200) t(i);", con)'
    )
    assert any("/200 calls" in text and "░" in text and "left" in text for text in script), script
    assert "✓ 2/2 CREATE t" in script[-1]
    assert "200/200 calls" in script[-1]
    query = kernel.run("""rows = con.execute("SELECT text_generation('b' || i) FROM range(200) t(i)").fetchall()""")
    assert any("░" in text for text in query), query
    assert query[-1].startswith("200/200 calls, ")
    assert kernel.run("""print(con.sql("SELECT count(*) FROM t").fetchall())""") == ["[(200,)]\n"]
    ahead = kernel.run("""x = distil_sql.sql("SELECT text_generation('c' || i) FROM range(100) t(i)", con)""")
    assert ahead[-1].startswith("100/100 calls, "), ahead  # and not those of the cell before


def test_the_stop_button_stops_the_calls(kernel: Kernel, fake_server: FakeServer) -> None:
    fake_server.configure(latency={"fixed_ms": 100})
    threading.Thread(
        target=lambda: (fake_server.wait_for(lambda stats: stats["answered"] >= 16), kernel.interrupt()), daemon=True
    ).start()
    with pytest.raises(AssertionError, match=r"Error|Interrupt"):
        kernel.run("""con.execute("SELECT text_generation('d' || i) FROM range(2000) t(i)").fetchall()""")
    assert fake_server.stats()["requests"] < 500
    assert kernel.run("""print(con.execute("SELECT count(text_generation('d' || 1))").fetchall())""") == ["[(1,)]\n"]
