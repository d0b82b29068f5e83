"""The command `demo`: a page in the browser on which to drop or record audio."""

import argparse
import contextlib
import dataclasses
import io
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from tfrecords.commands import import_tensorflow_quietly
from tfrecords.flags import CheckedSettings, add_flags, setting
from tfrecords.text import one_line

#: Tags on the page, and classes whose probability is drawn over time.
TOP = 10
#: Seconds between two searches for uploads that are to be deleted, and the age at which they are.
DELETED = (300, 1800)

_DESCRIPTION = """\
Open a page in the browser: drop a recording or record one, and see its spectrogram, its tags and
the timeline of its events. The page needs no network. Uploads are deleted after half an hour and
when the page is stopped (Ctrl-C).

MODEL is a run directory, a .keras, .pth or .safetensors file, or the name of a network, whose
published weights are then downloaded once. Decision-level networks time events to 0.32 s; others
are run on windows.
"""


@dataclasses.dataclass(frozen=True)
class DemoSettings(CheckedSettings):
    # Of the decision-level networks the one with the highest published mAP.
    model: str = setting("Cnn14_DecisionLevelAtt", "network, run directory or file")
    weights: str = setting("audioset", "for a network's name: a file", shown="the published ones")
    host: str = setting("127.0.0.1", "address to listen on", shown="127.0.0.1, this computer alone")
    port: int = setting(7860, "port to listen on; 0 for a free one", minimum=0, maximum=65535)
    max_mb: float = setting(50.0, "the largest file taken", above=0)
    max_seconds: float = setting(600.0, "the longest recording", above=0)


def add_demo_flags(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    add_flags(parser, DemoSettings)


def run_demo(args: argparse.Namespace) -> None:
    options = DemoSettings.from_flags(args)

    import_tensorflow_quietly()
    _import_gradio()  # before a network is loaded for nothing
    from panns_tf.inference.model import load_network

    network = load_network(options.model, options.weights)
    # So that what was uploaded is deleted, whoever ends the program.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        served(network, options) as address,
    ):
        print(f"{network.arch.name} is served at {address}    stop it with Ctrl-C", flush=True)
        if options.host not in ("127.0.0.1", "::1", "localhost"):
            print("Whoever can reach this computer can use the page.", flush=True)
        threading.Event().wait()


def _import_gradio():
    """Imports Gradio, which is to report to nobody."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio
    except ImportError:
        raise ValueError("the page needs Gradio: pip install 'panns_tf[demo]'") from None
    return gradio


def build(network, options: DemoSettings):
    """Returns the page as ``gradio.Interface``; `served` bounds the size of uploads."""
    gradio = _import_gradio()
    from PIL import Image

    from panns_tf.inference.detector import SoundEventDetector
    from panns_tf.inference.plot import draw_recording
    from panns_tf.inference.tagger import AudioTagger
    from tfrecords.audio import AudioError, read_audio

    tagger, detector = AudioTagger(network), SoundEventDetector(network)
    rate = tagger.sample_rate

    def predict(path: str | None):
        if path is None:
            return None, None, None
        try:
            samples = read_audio(path, rate, limit_seconds=options.max_seconds)
            tags = tagger.tag(samples, rate, top=TOP).tags
            (result,) = detector.detect_each([samples], rate, for_pictures=True)
            if result.error is not None:
                raise result.error
        except AudioError as error:
            message = one_line(error).replace(path, Path(path).name)
            raise gradio.Error(message, print_exception=False) from error
        events = result.detection.events
        picture = io.BytesIO(draw_recording(result, detector, top=TOP))
        rows = [[f"{e.onset:.2f}", f"{e.offset:.2f}", e.label, f"{e.score:.3f}"] for e in events]
        return {tag.label: tag.score for tag in tags}, Image.open(picture), rows

    return gradio.Interface(
        predict,
        gradio.Audio(label="Recording", type="filepath", buttons=[]),
        [
            gradio.Label(label="Tags", num_top_classes=TOP),
            gradio.Image(label="Spectrogram and events", show_label=False, buttons=[]),
            gradio.Dataframe(label="Events", headers=["from, s", "to, s", "class", "score"]),
        ],
        title=network.arch.name,
        description=f"{len(tagger.labels)} classes. Drop a recording or record one: up to "
        f"{options.max_mb:g} MB and {options.max_seconds:g} s.",
        flagging_mode="never",
        live=True,
        api_visibility="private",  # nothing but this page is to call it
        analytics_enabled=False,
        delete_cache=DELETED,
    ).queue(max_size=16, default_concurrency_limit=1)  # one after the other


@contextlib.contextmanager
def served(network, options: DemoSettings) -> Iterator[str]:
    """Serves the page and yields its address; at the end, what was uploaded is gone."""
    gradio = _import_gradio()
    # Gradio's own theme fetches fonts from elsewhere.
    theme = gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    with tempfile.TemporaryDirectory(prefix="panns_tf-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        # Gradio looks whether its page is there, which no proxy can tell.
        others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
        os.environ["no_proxy"] = f"127.0.0.1,localhost,{others}"
        page = build(network, options)
        try:
            _, address, _ = page.launch(
                server_name=options.host,
                server_port=options.port or None,
                share=False,
                prevent_thread_lock=True,
                quiet=True,
                ssr_mode=False,
                run_history=False,
                footer_links=[],
                enable_monitoring=False,
                theme=theme,
                max_file_size=int(options.max_mb * 1e6),
            )
        except OSError as error:
            raise ValueError(
                f"nothing can be served at --host {options.host} --port {options.port}: another "
                "program has the port, or the address is not one of this computer; choose another"
            ) from error
        try:
            yield address
        finally:
            page.close(verbose=False)
