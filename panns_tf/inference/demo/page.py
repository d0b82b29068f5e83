"""The page itself, with Gradio."""

import os
import socket
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from panns_tf.inference.demo import html
from panns_tf.inference.demo.listening import Listener
from tfrecords.audio import AudioError

#: Seconds between two looks for uploads that are to be deleted, and the age at which they are.
DELETED = (300, 1800)

#: Visitors who may wait; they are heard one after the other.
WAITING = 16

#: Gradio's own theme fetches fonts from elsewhere.
_FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}


def import_gradio():
    """Imports Gradio, which is to report to nobody.

    Raises:
        ValueError: if it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio
    except ImportError:
        raise ValueError("the page needs Gradio: pip install -r requirements-demo.txt") from None
    return gradio


def build(listener: Listener, max_mb: float = 50.0):
    """Returns the page as ``gradio.Blocks``.

    Args:
        listener: hears what is dropped or recorded.
        max_mb: said on the page; `served` sees to it.
    """
    gradio = import_gradio()

    def show(path: str | None) -> str:
        if path is None:
            return ""
        try:
            return html.heard(listener.listen(Path(path)))
        except AudioError as error:
            return html.trouble(" ".join(str(error).split()))
        except Exception:
            traceback.print_exc()
            return html.trouble(
                f"{Path(path).name}: something went wrong here; the terminal in which the page "
                "was started says what"
            )

    with gradio.Blocks(
        title="What is heard", analytics_enabled=False, delete_cache=DELETED
    ) as blocks:
        gradio.HTML(
            html.heading(listener.network, len(listener.labels), max_mb, listener.max_seconds),
            padding=False,
        )
        sound = gradio.Audio(
            label="Recording",
            sources=["upload", "microphone"],
            type="filepath",
            elem_id="sound",
            buttons=[],
        )
        shown = gradio.HTML(elem_id="shown", padding=False)
        # Private: nothing but this page is to call it.
        sound.change(show, sound, shown, api_visibility="private")
    return blocks.queue(max_size=WAITING, default_concurrency_limit=1)


@contextmanager
def served(
    listener: Listener, host: str = "127.0.0.1", port: int = 0, max_mb: float = 50.0
) -> Iterator[str]:
    """Serves the page; what was uploaded is gone when the context ends.

    Args:
        listener: hears what is dropped or recorded.
        host: address to listen at.
        port: 0 for one that is free.
        max_mb: larger uploads are refused.

    Yields:
        The address of the page.

    Raises:
        ValueError: if Gradio is not installed, or the address cannot be had.
    """
    gradio = import_gradio()
    theme = gradio.themes.Base(primary_hue="blue", **_FONTS)
    with surroundings():
        blocks = build(listener, max_mb)
        try:
            _, address, _ = blocks.launch(
                server_name=host,
                server_port=port or _free_port(),
                share=False,
                prevent_thread_lock=True,
                quiet=True,
                ssr_mode=False,
                run_history=False,
                footer_links=[],
                enable_monitoring=False,
                mcp_server=False,
                pwa=False,
                theme=theme,
                css=html.STYLE,
                max_file_size=int(max_mb * 1e6),
            )
        except OSError:
            raise ValueError(
                f"nothing can be served at --host {host} --port {port}: another program has the "
                "port, or the address is not one of this computer; choose another"
            ) from None
        try:
            yield address
        finally:
            blocks.close(verbose=False)


@contextmanager
def surroundings() -> Iterator[None]:
    """Has Gradio keep uploads in a folder that is deleted when the context ends.

    And has it look whether its page is there without asking a proxy.
    """
    others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    direct = ["127.0.0.1", "localhost", *([others] if others else [])]
    with tempfile.TemporaryDirectory(prefix="panns_tf-demo-") as folder:
        values = {"GRADIO_TEMP_DIR": folder, "no_proxy": ",".join(direct)}
        before = {name: os.environ.get(name) for name in values}
        os.environ.update(values)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
