"""A page in one file: escaped texts, numbers for people, style and script inside."""

import base64
import hashlib
import html
import json
import math
from importlib.resources import files
from pathlib import Path

from tfrecords.files import write_atomic

#: Stands for a figure that is undefined or unknown.
NONE = "–"


def text(value) -> str:
    """A value as text of a page or of an attribute in double quotes."""
    return html.escape(str(value), quote=True)


def number(value, digits: int = 3) -> str:
    """A figure for a person; what is undefined is a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:,.{digits}f}".replace("-", "−")


def signed(value, digits: int = 3) -> str:
    """A difference for a person."""
    plus = "+" if value is not None and value > 0 else ""
    return plus + number(value, digits)


def whole(value) -> str:
    """A count for a person."""
    return NONE if value is None else f"{int(value):,}"


def interval(pair, digits: int = 3) -> str:
    """Two ends for a person."""
    if pair is None or any(math.isnan(end) for end in pair):
        return NONE
    return f"{number(pair[0], digits)} to {number(pair[1], digits)}"


def sort_key(value) -> str:
    """An attribute that the page's script sorts by; empty for what is undefined."""
    undefined = value is None or (isinstance(value, float) and math.isnan(value))
    if isinstance(value, float) and math.isinf(value):
        value = math.copysign(1e300, value)
    return 'data-v=""' if undefined else f'data-v="{text(value)}"'


def script_json(value) -> str:
    """JSON that cannot end the element that holds it, whatever its texts are."""
    content = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        content = content.replace(sign, f"\\u{ord(sign):04x}")
    return content


def _asset(name: str) -> str:
    return (files("panns_tf.evaluation") / "assets" / name).read_text(encoding="utf-8")


def page(title: str, body: str, data) -> str:
    """Returns a whole page.

    Its policy lets a browser fetch nothing, and run the script of this package alone.

    Args:
        title: plain text.
        body: HTML.
        data: for the script, as JSON takes it.
    """
    script = _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text(title)}</title>
<link rel="icon" href="data:,">
<style>
{_asset("page.css")}</style>
</head>
<body>
{body}
<script type="application/json" id="data">{script_json(data)}</script>
<script>{script}</script>
</body>
</html>
"""


def save_page(path: Path, content: str) -> None:
    """Writes a page, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content.encode())
