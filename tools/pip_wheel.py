"""Get pip itself where the system has none: from the index pip would use, checked by sha256.

Debian's python3 comes without pip and without ensurepip. pip is one wheel without
dependencies, and the index tells its digest (PEP 691), so it can be fetched with the
standard library. Sites have mirrors and authorities of their own: what is set for pip in its
files or by PIP_* is honoured here as well.
"""

import base64
import configparser
import hashlib
import json
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit

from tools.project import SetupFailed

JSON_INDEX = "application/vnd.pypi.simple.v1+json"
WHEEL = re.compile(r"pip-(\d+(?:\.\d+)*)-py3-none-any\.whl")
LARGEST = 20 << 20  # bytes; a wheel of pip has two million

REMEDY = (
    "Install pip or python3-venv (Debian: sudo apt-get install python3-venv), or tell where your "
    "package index is (PIP_INDEX_URL, PIP_CERT, https_proxy). A certificate that is not trusted: "
    "install ca-certificates."
)


@dataclass(frozen=True, slots=True)
class Wheel:
    version: tuple[int, ...]
    url: str
    sha256: str


def pip_settings(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The settings of pip that matter for one download: the last place that names one wins."""
    home = Path(environ.get("HOME", "/"))
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf")]
    files += [home / ".pip/pip.conf", user / "pip/pip.conf"]
    if "PIP_CONFIG_FILE" in environ:
        files.append(Path(environ["PIP_CONFIG_FILE"]))
    found: dict[str, str] = {}
    parser = configparser.RawConfigParser()
    parser.read(files)
    for section in ("global", "install"):
        if parser.has_section(section):
            found.update(parser.items(section))
    for name, value in environ.items():
        if name.startswith("PIP_"):
            found[name[4:].lower().replace("_", "-")] = value
    return found


def obtain(folder: Path) -> Path:
    """A wheel of pip in `folder`, from a local folder of wheels or from the index."""
    settings = pip_settings()
    for place in settings.get("find-links", "").split():
        local = newest_of(Wheel(_version(path.name), str(path), "") for path in _local(place))
        if local:
            return Path(local.url)
    index = settings.get("index-url", "https://pypi.org/simple").rstrip("/") + "/pip/"
    try:
        wheel = newest_of(listed(index, *_fetch(index, settings)))
        if wheel is None:
            raise SetupFailed(f"{_without_password(index)} lists no pip.", remedy=REMEDY)
        content, _ = _fetch(wheel.url, settings)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise SetupFailed(
            f"pip is missing and could not be fetched from {_without_password(index)}: {error}",
            remedy=REMEDY,
        ) from error
    if hashlib.sha256(content).hexdigest() != wheel.sha256:
        raise SetupFailed(
            f"What came from {_without_password(wheel.url)} has not the sha256 that the index "
            "names for it.",
            remedy="Try again; if it stays so, somebody changes what you download.",
        )
    path = folder / Path(urlsplit(wheel.url).path).name
    path.write_bytes(content)
    return path


def newest_of(wheels: Iterable[Wheel]) -> Wheel | None:
    return max(wheels, key=lambda wheel: wheel.version, default=None)


def listed(index: str, content: bytes, kind: str) -> list[Wheel]:
    """The wheels that an index page names; addresses in it may be relative to the page."""
    if kind == JSON_INDEX:
        files = json.loads(content)["files"]
        links = [
            (file["url"], file["hashes"].get("sha256", "")) for file in files if not _yanked(file)
        ]
    else:
        page = _Links()
        page.feed(content.decode())
        links = [(url, fragment.removeprefix("sha256=")) for url, fragment in page.links]
    wheels = []
    for url, sha256 in links:
        name = unquote(Path(urlsplit(url).path).name)
        if WHEEL.fullmatch(name) and len(sha256) == 64:
            wheels.append(Wheel(_version(name), urljoin(index, url), sha256))
    return wheels


class _Links(HTMLParser):
    """The older form of an index (PEP 503): a page of links with the digest in the fragment."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "a" and attributes.get("href") and "data-yanked" not in attributes:
            url, fragment = urldefrag(attributes["href"] or "")
            self.links.append((url, fragment))


def _yanked(file: Mapping[str, object]) -> bool:
    return bool(file.get("yanked", False))


def _version(name: str) -> tuple[int, ...]:
    match = WHEEL.fullmatch(name)
    return tuple(map(int, match[1].split("."))) if match else ()


def _local(place: str) -> list[Path]:
    folder = Path(place.removeprefix("file://"))
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if WHEEL.fullmatch(path.name)]


def _fetch(url: str, settings: Mapping[str, str]) -> tuple[bytes, str]:
    address, authorization = _split_password(url)
    headers = {"Accept": f"{JSON_INDEX}, text/html;q=0.1", **authorization}
    if urlsplit(address).scheme not in ("https", "http"):
        raise ValueError(f"{address} is no web address")
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=settings.get("cert")))
    ]
    if proxy := settings.get("proxy"):
        handlers.append(urllib.request.ProxyHandler({"https": proxy, "http": proxy}))
    opener = urllib.request.build_opener(*handlers)
    request = urllib.request.Request(address, headers=headers)
    with opener.open(request, timeout=float(settings.get("default-timeout", "60"))) as answer:
        content = answer.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(f"{address} is larger than {LARGEST} bytes")
        return content, answer.headers.get_content_type()


def _split_password(url: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(url)
    if not parts.username:
        return url, {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    header = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
    return _without_password(url), header


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
