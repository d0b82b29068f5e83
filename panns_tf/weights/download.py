"""Downloads one large file, resumed where it was cut off, and never leaves a part as the whole."""

import contextlib
import http.client
import itertools
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from tqdm import tqdm

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

#: Seconds for connecting, and for every wait for more bytes.
TIMEOUT = 30.0

#: Seconds before the next attempt, by attempts in a row that gained nothing; then it is an error.
WAITS = (1.0, 2.0, 5.0, 10.0)

BLOCK = 1 << 18


class DownloadError(OSError):
    """A file cannot be downloaded now; one line says why and what to do."""


class _FailedError(Exception):
    """An attempt failed: for good, or (then ``answered`` or not) in a way that may pass."""

    def __init__(self, what: str, final: bool = False, answered: bool = True):
        super().__init__(what)
        self.final = final
        self.answered = answered


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https, never from https to http.

    Files without a known checksum have nothing else that would catch a forgery.
    """

    def redirect_request(self, request, response, code, message, headers, url):
        allowed = ("https",) if request.type == "https" else ("http", "https")
        if urllib.parse.urlsplit(url).scheme not in allowed:
            message = f"(refused: a redirect to {url})"
            raise urllib.error.HTTPError(request.full_url, code, message, headers, response)
        return super().redirect_request(request, response, code, message, headers, url)


def download(
    url: str,
    path: Path,
    fault: Callable[[Path], str | None] | None,
    size: int | None,
    say: Callable[[str], None],
) -> bool:
    """Downloads a file unless another process does so first.

    What has come lies in ``<name>.part`` until the file is whole and free of faults, with what
    is needed to resume it in ``<name>.part.json``; ``<name>.lock`` stays behind, empty.

    Args:
        url: its address, http or https.
        path: where it is put, whole, or not at all. The folder is made.
        fault: tells what is wrong with a downloaded file, or None; None if nothing is known
            by which to tell. An unfinished file is then only resumed if the server can say
            that it has not changed.
        size: its bytes; None if unknown.
        say: takes one line at a time.

    Returns:
        False if the file is there after waiting for another process.

    Raises:
        ValueError: the server has another file; it has been removed, if it came.
        DownloadError: it cannot be downloaded now; what has come is kept.
        OSError: the folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(_beside(path, ".lock").open("ab"))
        except OSError as error:
            raise _unwritable(path.parent, error) from error
        _wait_for(lock, path, say)
        if path.exists():
            return False
        part = _beside(path, ".part")
        say(f"downloading {path.name} from {url} to {path.parent}")
        _complete(url, path, fault is not None, size, say)
        if found := fault and fault(part):
            _remove(part)
            raise _other_file(url, f"{found} (removed)")
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
        _note(part).unlink(missing_ok=True)
    return True


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _note(part: Path) -> Path:
    return _beside(part, ".json")


def _remove(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _unwritable(where: Path, error: OSError) -> OSError:
    reason = error.strerror or str(error)
    advice = "make room, or name another folder in PANNS_TF_CACHE"
    return OSError(error.errno, f"cannot write {where} ({reason}); {advice}")


def _wait_for(lock, path: Path, say: Callable[[str], None]) -> None:
    """Returns once this process alone may download; the lock ends with the open file."""
    if fcntl is None:
        return
    # some network file systems have no locks: better a download without than none
    with contextlib.suppress(OSError):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process downloads {path.name}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)


def _complete(
    url: str, path: Path, checked: bool, size: int | None, say: Callable[[str], None]
) -> None:
    """Brings the unfinished file to its full length, trying again as long as that gains bytes."""
    part = _beside(path, ".part")
    furthest, failures, answered = 0, 0, False
    while True:
        try:
            _attempt(url, part, checked, size)
            return
        except _FailedError as error:
            held = part.stat().st_size if part.exists() else 0
            # by the furthest ever: a server that starts over each time gains nothing
            failures = 0 if held > furthest else failures + 1
            furthest = max(furthest, held)
            answered = answered or error.answered
            if error.final or not answered or failures == len(WAITS):
                kept = f"{held} bytes are there and running again continues; or " if held else ""
                raise DownloadError(
                    f"{error}; {kept}download it elsewhere and put {path.name} into {path.parent}"
                ) from error
            say(f"{error}; {held} bytes are there, trying again")
        time.sleep(WAITS[failures])


def _attempt(url: str, part: Path, checked: bool, size: int | None, afresh: bool = False) -> None:
    """Asks once for what is missing and adds it; returns if the file then has its full length."""
    held, validator = (0, None) if afresh else _kept(part, url, checked, size)
    if held and held == size:
        return
    response = _ask(url, held, validator)
    with response:
        span = response.headers.get("Content-Range", "")
        # servers may overlook If-Range
        changed = validator and _validator(response) not in (None, validator)
        if response.status == 416:
            whole = re.fullmatch(r"bytes \*/(\d+)", span)
            if changed or not whole or int(whole[1]) != held:
                _attempt(url, part, checked, size, afresh=True)
            return
        length = response.length  # of what is still to come
        blocks = _blocks(response, url)
        first = next(blocks, b"")
        resumed = response.status == 206
        # before anything is written: a sign-in page shall not cost what has come so far
        if response.headers.get_content_type() == "text/html" or (
            not resumed and first.startswith(b"<")
        ):
            what = f"{url} gives a web page in place of the file, perhaps this network's sign-in"
            raise _FailedError(what, final=True)
        if resumed:
            span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", span)
            if changed or not span or int(span[1]) != held:
                _attempt(url, part, checked, size, afresh=True)
                return
            total = None if span[2] == "*" else int(span[2])
        else:
            held, total = 0, length
        if None not in (size, total) and size != total:
            raise _other_file(url, f"it has {total} bytes, expected {size}")
        total = size if total is None else total
        if total is None and not checked and not response.chunked:
            raise _FailedError(f"{url} does not tell how long the file is", final=True)
        try:
            with part.open("ab" if resumed else "wb") as stream, _bar(part, held, total) as bar:
                if not resumed:
                    note = {"url": url, "validator": _validator(response)}
                    _note(part).write_text(json.dumps(note))
                for block in itertools.chain([first], blocks):
                    stream.write(block)
                    bar.update(len(block))
        except OSError as error:
            raise _unwritable(part, error) from error
    held = part.stat().st_size
    # a body shorter than announced ends like a whole one
    if not held or (total and held < total):
        raise _FailedError(f"{url} was cut off (closed early)")
    if total and held > total:
        _remove(part)
        raise _other_file(url, f"it has {held} bytes, expected {total}")


def _kept(part: Path, url: str, checked: bool, size: int | None) -> tuple[int, str | None]:
    """Returns how many bytes of an unfinished file are worth keeping, and what to hold them to."""
    try:
        held = part.stat().st_size
    except FileNotFoundError:
        return 0, None
    try:
        note = json.loads(_note(part).read_text())
    except (OSError, ValueError):
        note = {}
    validator = note.get("validator") if note.get("url") == url else None
    if not (checked or validator) or (size is not None and held > size):
        return 0, None
    return held, validator


def _ask(url: str, held: int, validator: str | None) -> http.client.HTTPResponse:
    """Returns the answer to a request for the bytes from ``held`` on: 200, or then 206 or 416."""
    headers = {"User-Agent": "panns_tf"}
    if held:
        headers["Range"] = f"bytes={held}-"
        if validator:
            headers["If-Range"] = validator
    try:
        # made anew each time: it reads the proxies of the environment
        opener = urllib.request.build_opener(_Redirects)
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        response = error
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        reason = _line(getattr(error, "reason", None) or error)
        raise _FailedError(f"cannot reach {url} ({reason})", answered=False) from error
    if response.status == 200 or (held and response.status in (206, 416)):
        return response
    with response:
        what = f"{url} answers HTTP {response.status} {_line(response.reason)}"
        passing = response.status >= 500 or response.status in (408, 429)
        raise _FailedError(what, final=not passing)


def _blocks(response: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    """Yields the bytes of an answer as they come: few are lost if the connection is cut."""
    try:
        while block := response.read1(BLOCK):
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise _FailedError(f"{url} was cut off ({_line(error)})") from error


def _bar(part: Path, held: int, total: int | None) -> tqdm:
    # disable=None: no bar where stderr is no terminal
    return tqdm(desc=part.stem, total=total, initial=held, unit="B", unit_scale=True, disable=None)


def _validator(response: http.client.HTTPResponse) -> str | None:
    """Returns what changes when the server's file does; weak tags are not allowed in If-Range."""
    tag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified") if tag.startswith("W/") else tag


def _other_file(url: str, found: str) -> ValueError:
    return ValueError(f"{url} is not the published file: {found}; try again, or from elsewhere")


def _line(reason) -> str:
    return " ".join(str(reason).split()) or type(reason).__name__
