import argparse
import sys

import pytest

from panns_tf.inference.demo import command


def demo(*words) -> None:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    options = parser.parse_args(["demo", *words])
    options.run(options)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--max-mb", "0"), "--max-mb must be above 0; received 0"),
        (("--max-seconds", "-3"), "--max-seconds must be above 0; received -3"),
        (("--max-seconds", "inf"), "--max-seconds must be above 0; received inf"),
        (("--port", "70000"), "--port must be in 0 ... 65535; received 70000"),
        (("--port", "-1"), "--port must be in 0"),
    ],
)
def test_options_that_cannot_be(words, said):
    with pytest.raises(ValueError, match=said):
        demo(*words)


def test_without_gradio_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ValueError, match=r"pip install -r requirements-demo.txt"):
        demo("--model", "no such model")


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("192.168.0.7", False),
        ("example.org", False),
    ],
)
def test_addresses_of_this_computer_alone(host, alone):
    assert command._is_loopback(host) == alone
