"""Downloads from a server that cuts, lies, changes or hangs; none leaves a part as the whole."""

import contextlib
import dataclasses
import hashlib
import http.server
import json
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from panns_tf.weights import download as module
from panns_tf.weights.download import DownloadError

DATA = b"PK" + random.Random(0).randbytes(1_000_000)
OTHER = b"PK" + random.Random(1).randbytes(1_000_000)
HELD = 400_000


@dataclasses.dataclass
class Answer:
    """What the server does with one request."""

    data: bytes = DATA
    status: int | None = None
    ranges: bool = True  # honours Range
    if_range: bool = True  # honours If-Range
    etag: str | None = '"one"'
    last_modified: str | None = None
    content_type: str = "application/octet-stream"
    cut: int | None = None  # closes after so many bytes of the body
    reset: bool = False  # and with a reset
    hold: int | None = None  # after so many bytes waits for the server's event
    more: int = 0  # claims so many bytes more
    length: bool = True  # tells the length
    chunked: bool = False
    shift: int = 0  # a range other than asked for
    headers: dict = dataclasses.field(default_factory=dict)


class Server(http.server.ThreadingHTTPServer):
    """Gives the answers of a plan in turn, the last for ever; keeps what it was asked and sent."""

    daemon_threads = True

    def __init__(self, *plan: Answer):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan = list(plan)
        self.asked, self.sent, self.watch, self.seen = [], [], None, []
        self.go_on = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/file.pth?download=1"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        plan, server = self.server.plan, self.server
        answer = plan.pop(0) if len(plan) > 1 else plan[0]
        wanted = self.headers["Range"]
        server.asked.append(wanted)
        server.sent.append(0)
        turn = len(server.sent) - 1
        start = 0
        condition = self.headers["If-Range"]
        strong = None if (answer.etag or "").startswith("W/") else answer.etag
        unchanged = condition in (None, strong, answer.last_modified) or not answer.if_range
        if wanted and answer.ranges and unchanged:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
        size = len(answer.data) + answer.more
        status = answer.status or (206 if start else 200)
        headers = {"Content-Type": answer.content_type, "Connection": "close", **answer.headers}
        if start and start >= size:
            status, body = 416, b""
            headers["Content-Range"] = f"bytes */{size}"
        else:
            start = max(0, start + answer.shift) if start else 0
            body = answer.data[start:]
        if status == 206:
            headers.setdefault("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if answer.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif answer.length:
            headers["Content-Length"] = str(len(body) + answer.more)
        for key, value in (("ETag", answer.etag), ("Last-Modified", answer.last_modified)):
            if value:
                headers[key] = value
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(ConnectionError):
            for at in range(0, len(body), 20_000):
                block = body[at : at + 20_000]
                if answer.cut is not None:
                    block = body[at : min(at + 20_000, answer.cut)]
                    if not block:
                        break
                if at == answer.hold:
                    server.go_on.wait(20)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block) if answer.chunked else block)
                server.sent[turn] += len(block)
            else:
                if answer.chunked and answer.cut is None:
                    self.wfile.write(b"0\r\n\r\n")
            if answer.reset:
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
        if server.watch:
            server.seen.append(server.watch.exists())


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "WAITS", (0.0,) * 4)
    monkeypatch.setattr(module, "TIMEOUT", 5.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def serve():
    """Starts servers that end with the test."""
    with contextlib.ExitStack() as stack:

        def start(*plan):
            server = stack.enter_context(Server(*plan))
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.shutdown)
            stack.callback(server.go_on.set)
            return server

        yield start


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "file.pth"


def fault(path):
    found, expected = (hashlib.md5(data).hexdigest() for data in (path.read_bytes(), DATA))
    return None if found == expected else f"its md5 is {found}, expected {expected}"


def get(server, path, checked=True, size=None, url=None):
    """Downloads; returns what was said. The whole file is never seen before the end."""
    said = []
    server.watch = path
    there = path.exists()
    fetched = module.download(
        url or server.url, path, fault if checked else None, size, said.append
    )
    assert fetched
    assert path.read_bytes() == DATA
    assert there or not any(server.seen)
    left = {entry.name for entry in path.parent.iterdir()}
    assert left == {"file.pth", "file.pth.lock"}
    assert not any("\n" in line for line in said)
    return said


def refused(kind, match, *args, **kwargs):
    with pytest.raises(kind, match=match) as error:
        get(*args, **kwargs)
    assert "\n" not in str(error.value)
    assert not args[1].exists()
    return str(error.value)


def part_of(path, data=DATA[:HELD], url=None, validator='"one"'):
    """Lays down an unfinished file, as an earlier run left it."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_name("file.pth.part")
    part.write_bytes(data)
    if url:
        part.with_name("file.pth.part.json").write_text(
            json.dumps({"url": url, "validator": validator})
        )
    return part


@pytest.mark.parametrize(
    "answer",
    [Answer(), Answer(chunked=True), Answer(length=False), Answer(etag=None), Answer(ranges=False)],
    ids=["plain", "chunked", "no length", "no tag", "no ranges"],
)
@pytest.mark.parametrize("size", [None, len(DATA)])
def test_downloads(serve, path, answer, size):
    server = serve(answer)
    said = get(server, path, size=size)
    assert server.asked == [None]
    assert said == [f"downloading file.pth from {server.url} to {path.parent}"]


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("checked", [False, True])
def test_goes_on_where_it_was_cut(serve, path, reset, chunked, checked):
    cut = Answer(cut=300_000, reset=reset, chunked=chunked)
    server = serve(cut, cut, Answer(chunked=chunked))
    said = get(server, path, checked=checked)
    assert server.asked[0] is None
    assert len(said) == 3
    if not reset:  # a reset takes with it what had not been read
        assert server.asked == [None, "bytes=300000-", "bytes=600000-"]
        assert server.sent == [300_000, 300_000, len(DATA) - 600_000]


def test_many_cuts_are_fine_while_bytes_come(serve, path):
    server = serve(*[Answer(cut=50_000)] * 15, Answer())
    get(server, path)
    assert sum(server.sent) == len(DATA)


@pytest.mark.parametrize("ranges", [True, False])
def test_gives_up_without_gain_and_keeps_what_came(serve, path, ranges):
    server = serve(
        Answer(cut=HELD, ranges=ranges), Answer(cut=0 if ranges else HELD, ranges=ranges)
    )
    message = refused(DownloadError, "cut off", server, path)
    assert f"{HELD} bytes are there and running again continues" in message
    assert str(path.parent) in message
    assert len(server.asked) == 1 + len(module.WAITS)
    server.plan = [Answer()]
    get(server, path)
    assert server.asked[-1] == f"bytes={HELD}-"
    assert server.sent[-1] == len(DATA) - HELD


def test_starting_over_at_each_attempt_ends(serve, path):
    turns = [Answer(cut=HELD, ranges=False), Answer(cut=9, ranges=False)]
    server = serve(*turns * 10, Answer())
    refused(DownloadError, "cut off", server, path)
    assert len(server.asked) == 1 + len(module.WAITS)


def test_resumes_an_earlier_run(serve, path):
    server = serve(Answer())
    part_of(path, url=server.url)
    get(server, path, checked=False)
    assert (server.asked, server.sent) == ([f"bytes={HELD}-"], [len(DATA) - HELD])


def test_resumes_across_redirects(serve, path):
    server = serve(Answer())
    part_of(path, url="elsewhere")
    first = serve(Answer(status=302, headers={"Location": server.url}))
    get(server, path, url=first.url)
    assert server.asked == [f"bytes={HELD}-"]


def test_by_date_where_there_is_no_strong_tag(serve, path):
    date = "Wed, 21 Oct 2020 07:28:00 GMT"
    answer = Answer(etag='W/"weak"', last_modified=date)
    server = serve(dataclasses.replace(answer, cut=HELD), answer)
    get(server, path, checked=False)
    assert server.sent == [HELD, len(DATA) - HELD]
    server = serve(dataclasses.replace(answer, data=OTHER, cut=HELD), Answer(last_modified="later"))
    path.unlink()
    get(server, path, checked=False)
    assert server.sent == [HELD, len(DATA)]


@pytest.mark.parametrize("if_range", [True, False])
def test_starts_over_when_the_file_changes_between_attempts(serve, path, if_range):
    changed = Answer(etag='"two"', if_range=if_range)
    server = serve(Answer(data=OTHER, cut=HELD), changed)
    get(server, path, checked=False)
    assert server.asked[1] == f"bytes={HELD}-"
    assert server.sent[-1] == len(DATA)


def test_without_checksum_and_validator_nothing_is_resumed(serve, path):
    server = serve(Answer(etag=None))
    part_of(path, OTHER[:HELD])
    get(server, path, checked=False)
    assert server.asked == [None]
    # a validator of another address says nothing about this one
    path.unlink()
    part_of(path, OTHER[:HELD], url="http://elsewhere")
    get(server, path, checked=False)
    assert server.asked[1:] == [None]


@pytest.mark.parametrize(
    "answer", [Answer(shift=-1000), Answer(headers={"Content-Range": "nonsense"})]
)
def test_starts_over_when_other_bytes_come_than_asked(serve, path, answer):
    server = serve(answer, Answer())
    part_of(path, url=server.url)
    get(server, path)
    assert server.asked == [f"bytes={HELD}-", None]


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_a_complete_part_is_only_verified(serve, path, size):
    server = serve(Answer())
    part_of(path, DATA)
    get(server, path, size=size)
    assert server.asked == ([] if size else [f"bytes={len(DATA)}-"])
    assert sum(server.sent) == 0


@pytest.mark.parametrize("if_range", [True, False])
def test_a_complete_part_of_a_changed_file_is_dropped(serve, path, if_range):
    server = serve(Answer(etag='"two"', if_range=if_range))
    part_of(path, OTHER, url=server.url)
    get(server, path, checked=False)
    assert sum(server.sent) == len(DATA)


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_a_part_longer_than_the_file_is_dropped(serve, path, size):
    server = serve(Answer())
    part_of(path, DATA + b"more")
    get(server, path, size=size)
    assert server.asked[-1] is None
    assert sum(server.sent) == len(DATA)


@pytest.mark.parametrize("size", [None, len(DATA)])
@pytest.mark.parametrize("held", [0, HELD])
def test_wrong_bytes_are_removed(serve, path, size, held):
    server = serve(Answer(data=OTHER), Answer())
    part_of(path, DATA[:held])
    message = refused(ValueError, "is not the published file", server, path, size=size)
    assert all(text in message for text in (server.url, hashlib.md5(DATA).hexdigest()))
    assert [entry.name for entry in path.parent.iterdir()] == ["file.pth.lock"]
    get(server, path, size=size)


def test_a_file_of_another_size_is_refused_before_it_comes(serve, path):
    server = serve(Answer())
    part = part_of(path)
    message = refused(ValueError, "expected 500000", server, path, size=500_000)
    assert f"{len(DATA)} bytes" in message
    assert part.stat().st_size == HELD
    # of unknown length until it is there
    server = serve(Answer(chunked=True, ranges=False))
    refused(ValueError, "expected 500000", server, path, size=500_000)
    assert not part.exists()


@pytest.mark.parametrize("answer", [Answer(more=7), Answer(more=7, ranges=False)])
def test_a_length_too_long_is_taken_as_cut_off(serve, path, answer):
    server = serve(answer)
    message = refused(DownloadError, "cut off", server, path)
    assert f"{len(DATA)} bytes are there" in message


def test_a_length_too_short_is_found_by_the_checksum_or_the_size(serve, path):
    server = serve(Answer(more=-7))
    refused(ValueError, "md5", server, path)
    refused(ValueError, f"{len(DATA) - 7} bytes, expected", server, path, size=len(DATA))


@pytest.mark.parametrize("answer", [Answer(data=b""), Answer(data=b"", length=False)])
def test_an_empty_body_is_no_file(serve, path, answer):
    refused(DownloadError, "cut off", serve(answer), path)


def test_without_length_and_checksum_an_end_says_nothing(serve, path):
    message = refused(DownloadError, "how long", serve(Answer(length=False)), path, checked=False)
    assert "put file.pth into" in message


@pytest.mark.parametrize(
    "answer",
    [
        Answer(data=b"<html>Sign in</html>", ranges=False),
        Answer(data=b"Sign in", content_type="text/html; charset=utf-8", ranges=False),
    ],
    ids=["by content", "by type"],
)
def test_a_web_page_is_no_file(serve, path, answer):
    server = serve(answer)
    part = part_of(path, url=server.url)
    message = refused(DownloadError, "web page", server, path)
    assert f"put file.pth into {path.parent}" in message
    assert part.read_bytes() == DATA[:HELD]  # a sign-in does not cost what has come
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 410, 204])
def test_final_answers_are_not_asked_for_again(serve, path, status):
    server = serve(Answer(status=status, data=b"no"), Answer())
    message = refused(DownloadError, f"HTTP {status}", server, path)
    assert all(text in message for text in (server.url, f"put file.pth into {path.parent}"))
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [500, 503, 429])
def test_passing_answers_are_asked_for_again(serve, path, status):
    server = serve(Answer(status=status), Answer())
    said = get(server, path)
    assert f"HTTP {status}" in said[1]
    path.unlink()
    server = serve(Answer(status=status))
    refused(DownloadError, f"HTTP {status}", server, path)
    assert len(server.asked) == len(module.WAITS)


def test_waits_longer_as_nothing_comes(serve, path, monkeypatch):
    waited = []
    monkeypatch.setattr(module, "WAITS", (1, 2, 5, 10))
    monkeypatch.setattr(module.time, "sleep", waited.append)
    plan = [Answer(cut=HELD), Answer(status=500), Answer(status=500), Answer(cut=9), Answer()]
    get(serve(*plan), path)
    assert waited == [1, 2, 5, 1]


def test_a_hanging_server(serve, path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    server = serve(Answer(hold=HELD), Answer())
    said = get(server, path)
    assert "timed out" in said[1]
    assert server.asked == [None, f"bytes={HELD}-"]


def test_no_answer_at_all_is_told_at_once(path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file.pth"
        with pytest.raises(DownloadError, match="timed out") as error:
            module.download(url, path, fault, None, print)
        assert str(error.value) == (
            f"cannot reach {url} (timed out); "
            f"download it elsewhere and put file.pth into {path.parent}"
        )
    reasons = ((url, "refused"), ("http://127.0.0.1:port/", "port"), ("http://a..b/x", "idna|name"))
    for address, reason in reasons:
        part_of(path)
        with pytest.raises(DownloadError, match=reason) as error:
            module.download(address, path, fault, None, print)
        assert str(error.value).startswith(f"cannot reach {address} (")
        assert f"{HELD} bytes are there" in str(error.value)
        assert "\n" not in str(error.value)


def test_a_name_that_does_not_resolve(path, monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DownloadError, match=r"cannot reach http://host/f .*not known"):
        module.download("http://host/f", path, fault, None, print)


def test_redirects_stay_http_and_safe(serve, path):
    server = serve(Answer(status=302, headers={"Location": "ftp://127.0.0.1/file.pth"}))
    refused(DownloadError, "redirect to ftp", server, path)
    redirects = module._Redirects()
    headers = {"Range": "bytes=5-"}
    secure = urllib.request.Request("https://a/x", headers=headers)
    followed = redirects.redirect_request(secure, None, 302, "Found", {}, "https://b/x")
    assert followed.headers == headers
    with pytest.raises(urllib.error.HTTPError, match="refused"):
        redirects.redirect_request(secure, None, 302, "Found", {}, "http://b/x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_a_full_disk_is_told(serve, path):
    path.parent.mkdir()
    path.with_name("file.pth.part").symlink_to("/dev/full")
    server = serve(Answer())
    message = refused(OSError, "No space left", server, path)
    assert all(text in message for text in ("file.pth.part", "PANNS_TF_CACHE"))
    assert len(server.asked) == 1


def test_a_folder_that_cannot_be_made_is_told(serve, tmp_path):
    (tmp_path / "taken").write_text("")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(OSError, match="PANNS_TF_CACHE") as error:
            module.download("http://127.0.0.1:9/", folder / "file.pth", fault, None, print)
        assert f"cannot write {folder} (" in str(error.value)
        assert not isinstance(error.value, DownloadError)


def test_a_folder_that_cannot_be_written_is_told(path, monkeypatch):
    # the tests may run as root, whom no permissions stop
    path.parent.mkdir()
    (path.parent / "file.pth.lock").mkdir()
    with pytest.raises(OSError, match=f"cannot write {path.parent} .*PANNS_TF_CACHE"):
        module.download("http://127.0.0.1:9/", path, fault, None, print)


def test_goes_without_locks_where_there_are_none(serve, path, monkeypatch):
    monkeypatch.setattr(module, "fcntl", None)
    get(serve(Answer()), path)


def test_shows_a_bar_only_on_a_terminal(serve, path, monkeypatch, capsys):
    get(serve(Answer()), path)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    path.unlink()
    part_of(path)
    get(serve(Answer()), path)
    bar = capsys.readouterr().err
    assert "file.pth" in bar
    assert "1.00M/1.00M" in bar


#: Downloads in another process, without importing the package's networks.
SCRIPT = """
import hashlib, sys, types
from pathlib import Path
package = sys.modules["weights"] = types.ModuleType("weights")
package.__path__ = [sys.argv[1]]
from weights.download import download
def fault(path):
    return None if hashlib.md5(path.read_bytes()).hexdigest() == sys.argv[4] else "wrong"
say = lambda line: print(line, flush=True)
say(download(sys.argv[2], Path(sys.argv[3]), fault, None, say))
"""


@contextlib.contextmanager
def start(server, path):
    md5 = hashlib.md5(DATA).hexdigest()
    folder = str(Path(module.__file__).parent)
    command = [sys.executable, "-c", SCRIPT, folder, server.url, str(path), md5]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_killed_download_leaves_no_file_and_is_resumed(serve, path):
    server = serve(Answer(hold=HELD), Answer())
    part = path.with_name("file.pth.part")
    with start(server, path) as process:
        # the last few kilobytes may lie in the process's buffer
        wait_until(lambda: part.exists() and part.stat().st_size > HELD - 20_000)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not path.exists()
    held = part.stat().st_size
    assert 0 < held <= HELD
    get(server, path, checked=False)
    assert server.asked == [None, f"bytes={held}-"]
    assert server.sent[1] == len(DATA) - held


@pytest.mark.skipif(module.fcntl is None, reason="needs file locks")
def test_of_two_processes_one_downloads_and_one_waits(serve, path):
    server = serve(Answer(hold=HELD))
    with start(server, path) as first:
        wait_until(lambda: server.asked)
        with start(server, path) as second:
            waiting = second.stdout.readline()
            assert waiting == "another process downloads file.pth; waiting for it\n"
            assert not path.exists()
            server.go_on.set()
            assert second.communicate(timeout=20)[0] == "False\n"
        assert first.communicate(timeout=20)[0].endswith("\nTrue\n")
    assert path.read_bytes() == DATA
    assert len(server.asked) == 1


@pytest.mark.skipif(module.fcntl is None, reason="needs file locks")
def test_the_one_waiting_takes_over_when_the_other_is_killed(serve, path):
    server = serve(Answer(hold=HELD), Answer())
    with start(server, path) as first:
        wait_until(lambda: server.sent and server.sent[0] >= HELD)
        with start(server, path) as second:
            second.stdout.readline()
            first.kill()
            assert second.communicate(timeout=20)[0].endswith("\nTrue\n")
    assert path.read_bytes() == DATA
    assert len(server.asked) == 2
