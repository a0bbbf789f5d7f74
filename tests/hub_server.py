"""A server that speaks the part of the Hugging Face hub's HTTP interface by which files are uploaded and downloaded."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Repository:
    """Commits by their hashes, and the newest one of each branch."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Add files to the newest commit of a branch, and return the hash of the new one."""
        content = {**self.commits.get(self.branches.get(branch, ""), {}), **files}
        digest = hashlib.sha1(repr((len(self.commits), sorted(content.items()))).encode()).hexdigest()
        self.commits[digest], self.branches[branch] = content, digest
        return digest


@dataclass
class Hub:
    """The server's content, and what goes wrong."""

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    dropped: list[int] = field(default_factory=list)
    """Numbers of bytes of a file after which the connection is dropped, one for each of the next downloads."""
    requests: list[str] = field(default_factory=list)


@contextlib.contextmanager
def serve() -> Iterator[Hub]:
    """Serve an empty hub on this machine."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            hub.requests.append(f"POST {self.path}")
            if self.path == "/api/repos/create":
                wanted = json.loads(body)
                name = f"{wanted['organization']}/{wanted['name']}" if wanted.get("organization") else wanted["name"]
                exists = name in hub.repositories
                hub.repositories.setdefault(name, Repository())
                self._json({"url": f"{hub.address}/{name}", "id": name}, 409 if exists else 200)
            elif self.path == "/api/validate-yaml":
                self._json({"errors": [], "warnings": []})
            elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/([^/?]+)", self.path):
                files = json.loads(body)["files"]
                modes = [{"path": each["path"], "uploadMode": "regular", "shouldIgnore": False} for each in files]
                self._json({"files": modes})
            elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/([^/?]+)", self.path):
                lines = [json.loads(line) for line in body.splitlines()]
                files = {
                    line["value"]["path"]: base64.b64decode(line["value"]["content"])
                    for line in lines
                    if line["key"] == "file"
                }
                digest = hub.repositories[found[1]].commit(files, found[2])
                url = f"{hub.address}/{found[1]}/commit/{digest}"
                self._json({"success": True, "commitOid": digest, "commitUrl": url, "hookOutput": ""})
            else:
                self._error(404, "")

        def do_HEAD(self) -> None:
            self._file(send=False)

        def do_GET(self) -> None:
            if found := re.match(r"/api/models/([^/]+/[^/?]+)(/revision/[^/?]+)?", self.path):
                hub.requests.append(f"GET {self.path}")
                return self._json({"id": found[1], "xetEnabled": False, "siblings": []})
            self._file(send=True)

        def _file(self, send: bool) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path.partition("?")[0])
            repository = hub.repositories.get(found[1]) if found else None
            if found is None or repository is None:
                return self._error(404, "RepoNotFound")
            commit = repository.branches.get(found[2], found[2])
            if commit not in repository.commits:
                return self._error(404, "RevisionNotFound")
            content = repository.commits[commit].get(found[3])
            if content is None:
                return self._error(404, "EntryNotFound", commit)
            start = int((re.findall(r"bytes=(\d+)-", self.headers.get("Range", "")) or ["0"])[0])
            self.send_response(206 if start else 200)
            self.send_header("X-Repo-Commit", commit)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            if send and hub.dropped:
                self.wfile.write(content[start : start + hub.dropped.pop(0)])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
            elif send:
                self.wfile.write(content[start:])

        def _json(self, content: Any, status: int = 200) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _error(self, status: int, code: str, commit: str = "") -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            if commit:
                self.send_header("X-Repo-Commit", commit)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
