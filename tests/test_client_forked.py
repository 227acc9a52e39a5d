"""A client that was there before a fork serves both processes, each by connections of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# In a process of its own, as the one of the tests has threads. What answers says in `version` by
# which connection it was asked.
PROGRAM = """
import itertools, json, os, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cortex_tasks.client import Client

numbers = itertools.count(1)


class Numbered(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.number = next(numbers)

    def do_GET(self):
        body = json.dumps({"status": "healthy", "version": str(self.number)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Numbered)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
with Client(f"http://127.0.0.1:{server.server_port}") as client:
    print("parent", client.health().version, flush=True)
    child = os.fork()
    if child == 0:
        print("child", client.health().version, client.health().version, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    print("parent", client.health().version)
"""


def test_after_a_fork_each_process_has_connections_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
        timeout=60,
        check=False,
    )
    assert (done.stdout.splitlines(), done.stderr) == (["parent 1", "child 2 2", "parent 1"], "")
