"""`python -m panns_tf demo`: the command line of the page."""

import argparse
import contextlib
import ipaddress
import math
import signal
import threading

_DESCRIPTION = """\
Open a page in the browser: drop a recording or record one, and see its spectrogram, its tags and
the timeline of its events. The page needs no network. Uploads are deleted after half an hour and
when the page is stopped (Ctrl-C).

MODEL is a run directory, a .keras or .pth file, or the name of a network, whose published weights
are then downloaded once. Decision-level networks see events to 0.32 s; others hear windows.
"""

#: Of the decision-level networks the one with the highest published mAP.
MODEL = "Cnn14_DecisionLevelAtt"


def add_parser(commands) -> None:
    """Adds `demo` to the commands of ``python -m panns_tf``."""
    parser = commands.add_parser(
        "demo",
        help="a page that shows what a network hears",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--model", default=MODEL, metavar="MODEL", help=f"default {MODEL}")
    add(
        "--weights",
        default="audioset",
        metavar="FILE",
        help="for the name of a network: the file of its weights; default: the published ones",
    )
    add("--host", default="127.0.0.1", help="default 127.0.0.1: this computer alone")
    add("--port", type=int, default=7860, help="default 7860; 0 for any that is free")
    add("--max-mb", type=float, default=50.0, help="the largest file taken; default 50")
    add("--max-seconds", type=float, default=600.0, help="the longest recording; default 600")
    parser.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> None:
    for name in ("max_mb", "max_seconds"):
        value = getattr(options, name)
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"--{name.replace('_', '-')} must be above 0; received {value:g}")
    if not 0 <= options.port < 2**16:
        raise ValueError(f"--port must be in 0 ... 65535; received {options.port}")

    from tfrecords.quiet import import_tensorflow_quietly

    import_tensorflow_quietly()
    from panns_tf.inference.demo.page import import_gradio, served

    import_gradio()  # before a network is loaded for nothing
    listener = make_listener(options.model, options.weights, options.max_seconds)
    # So that what was uploaded is deleted, whoever ends the program.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        served(listener, options.host, options.port, options.max_mb) as address,
    ):
        print(f"{listener.network} listens at {address}    stop it with Ctrl-C", flush=True)
        if not _is_loopback(options.host):
            print("Whoever can reach this computer can use the page.", flush=True)
        threading.Event().wait()


def make_listener(model: str, weights: str | None, max_seconds: float):
    """Returns the `panns_tf.inference.demo.listening.Listener` of a network."""
    from panns_tf.inference.demo.listening import Listener
    from panns_tf.inference.detector import SoundEventDetector
    from panns_tf.inference.loading import load_network
    from panns_tf.inference.tagger import AudioTagger

    network = load_network(model, weights)
    return Listener(
        network.row.name,
        list(network.labels),
        network.row.frontend.sample_rate,
        AudioTagger(network),
        SoundEventDetector(network),
        max_seconds,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
