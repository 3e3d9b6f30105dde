"""pip is fetched as pip itself would fetch it, or not at all."""

import hashlib
import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tools.project import SetupFailed

from tools import pip_wheel

# As pypi.org answers (PEP 691), shortened; behind a mirror the address is relative.
PAGE = {
    "files": [
        {"filename": "pip-9.0.3-py2.py3-none-any.whl", "url": "a", "hashes": {"sha256": "a" * 64}},
        {"url": "../../p/pip-24.0-py3-none-any.whl#x", "hashes": {"sha256": "b" * 64}},
        {"url": "../../p/pip-24.10-py3-none-any.whl", "hashes": {"sha256": "c" * 64}},
        {"url": "p/pip-25.0-py3-none-any.whl", "hashes": {"sha256": "d" * 64}, "yanked": "broken"},
        {"url": "p/pip-26.0b1-py3-none-any.whl", "hashes": {"sha256": "e" * 64}},
        {"url": "p/pip-24.11-py3-none-any.whl", "hashes": {}},
        {"url": "p/pip-24.0.tar.gz", "hashes": {"sha256": "f" * 64}},
    ]
}
OLD_PAGE = f"""<html><a href="../../p/pip-24.0-py3-none-any.whl#sha256={"b" * 64}">pip</a>
<a href="../../p/pip-24.10-py3-none-any.whl#sha256={"c" * 64}">pip</a>
<a data-yanked="" href="pip-25.0-py3-none-any.whl#sha256={"d" * 64}">pip</a></html>"""


@pytest.mark.parametrize(
    ("content", "kind"),
    [(json.dumps(PAGE), pip_wheel.JSON_INDEX), (OLD_PAGE, "text/html")],
)
def test_the_newest_whole_wheel_is_chosen(content: str, kind: str) -> None:
    wheels = pip_wheel.listed("https://mirror.example/simple/pip/", content.encode(), kind)
    assert pip_wheel.newest_of(wheels) == pip_wheel.Wheel(
        (24, 10), "https://mirror.example/p/pip-24.10-py3-none-any.whl", "c" * 64
    )


class Index:
    """A package index on loopback with one wheel of pip in it."""

    def __init__(self, wheel: bytes, digest: str) -> None:
        page = {"files": [{"url": "/pip-1.0-py3-none-any.whl", "hashes": {"sha256": digest}}]}
        seen = self.seen = list[str]()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(self.headers.get("Authorization", ""))
                is_page = self.path == "/simple/pip/"
                body = json.dumps(page).encode() if is_page else wheel
                self.send_response(200)
                self.send_header("Content-Type", pip_wheel.JSON_INDEX)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"


Serve = Callable[..., Index]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Serve]:
    running: list[tuple[Index, threading.Thread]] = []

    def start(wheel: bytes, digest: str, login: str = "") -> Index:
        index = Index(wheel, digest)
        thread = threading.Thread(target=index.server.serve_forever, args=(0.01,))
        thread.start()
        running.append((index, thread))
        monkeypatch.setenv("PIP_INDEX_URL", f"http://{login}{index.address}/simple")
        return index

    for name in [name for name in os.environ if name.lower().endswith(("_proxy", "find_links"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    yield start
    for index, thread in running:
        index.server.shutdown()
        index.server.server_close()
        thread.join()


def test_the_wheel_is_fetched_from_the_index_that_pip_is_set_to(
    serve: Serve, tmp_path: Path
) -> None:
    index = serve(b"wheel", hashlib.sha256(b"wheel").hexdigest(), login="me:se%40cret@")
    path = pip_wheel.obtain(tmp_path)
    assert path.name == "pip-1.0-py3-none-any.whl"
    assert path.read_bytes() == b"wheel"
    assert index.seen == ["Basic bWU6c2VAY3JldA=="] * 2


def test_a_wheel_with_another_digest_is_refused(serve: Serve, tmp_path: Path) -> None:
    serve(b"wheel", hashlib.sha256(b"another").hexdigest(), login="me:secret@")
    with pytest.raises(SetupFailed, match="has not the sha256") as failure:
        pip_wheel.obtain(tmp_path)
    assert "secret" not in str(failure.value)
    assert not list(tmp_path.glob("*.whl"))


def test_the_settings_of_pip_are_read_where_pip_reads_them(tmp_path: Path) -> None:
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text("[global]\nindex-url = http://u\ncert = /c\n")
    (tmp_path / "named").write_text("[install]\nindex-url = http://n\n")
    home = {"HOME": str(tmp_path)}
    assert pip_wheel.pip_settings(home)["index-url"] == "http://u"
    named = home | {"PIP_CONFIG_FILE": str(tmp_path / "named")}
    assert pip_wheel.pip_settings(named)["index-url"] == "http://n"
    assert pip_wheel.pip_settings(named | {"PIP_INDEX_URL": "http://e"})["index-url"] == "http://e"
    assert pip_wheel.pip_settings(named)["cert"] == "/c"
