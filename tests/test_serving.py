"""The requests of docs/serving.md against an exported network."""

import http.server
import json
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from panns_tf.export.saved_model import export_saved_model
from panns_tf.weights.loading import create_model
from tests.rest import predict

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/serving.md").read_text()
REQUESTS = re.findall(r"panns:predict -d '(\{.*\})'", PAGE)
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
LABELS = ["dog", "brüllen", "rain"]


@pytest.fixture(scope="module")
def network():
    network = create_model("Thin_Cnn14_DecisionLevelMax", num_classes=3)
    network.labels = LABELS
    return network


@pytest.fixture(scope="module")
def served(network, tmp_path_factory) -> Path:
    return export_saved_model(network, tmp_path_factory.mktemp("served") / "panns/1", top_k=2)


@pytest.fixture(scope="module")
def loaded(served):
    return tf.saved_model.load(served)


@pytest.fixture
def answer(loaded):
    return lambda body: predict(loaded.signatures, body)


def expected(network, waveforms) -> dict[str, np.ndarray]:
    outputs = network(np.array(waveforms, "float32"), training=False)
    return {name: value.numpy() for name, value in outputs.items()}


def assert_tags(tags: dict, scores: np.ndarray) -> None:
    order = np.argsort(-scores)[:2]
    assert tags["labels"] == [LABELS[i] for i in order]
    np.testing.assert_allclose(tags["scores"], scores[order], atol=1e-5)


def test_the_page_shows_every_way():
    found = [json.loads(request) for request in REQUESTS]
    assert {request.get("signature_name") for request in found} == {None, "tag", "embed", "detect"}
    assert {("instances" in request, "inputs" in request) for request in found} == {
        (True, False),
        (False, True),
    }


@pytest.mark.parametrize("body", REQUESTS)
def test_requests_of_the_page(network, answer, body):
    request = json.loads(body)
    form = "instances" if "instances" in request else "inputs"
    clips = request[form]["waveform"] if isinstance(request[form], dict) else request[form]
    want = expected(network, clips)
    found = answer(body)
    (given,) = found
    assert given == {"instances": "predictions", "inputs": "outputs"}[form]
    value = json.loads(json.dumps(found[given]))
    name = request.get("signature_name")
    if name == "tag":
        if form == "inputs":
            value = [
                {"labels": labels, "scores": scores}
                for labels, scores in zip(value["labels"], value["scores"], strict=True)
            ]
        for tags, scores in zip(value, want["clipwise_output"], strict=True):
            assert_tags(tags, scores)
    elif name in ("embed", "detect"):
        alone = {"embed": "embedding", "detect": "framewise_output"}[name]
        np.testing.assert_allclose(value, want[alone], atol=1e-5)
    else:
        for i, row in enumerate(value):
            assert set(row) == set(want)
            for key, values in row.items():
                np.testing.assert_allclose(values, want[key][i], atol=1e-5)


@pytest.mark.parametrize(
    "form", [{"instances": [{"waveform": [0.0, 0.5]}]}, {"inputs": {"waveform": [[0.0, 0.5]]}}]
)
def test_an_input_may_have_its_name(network, answer, form):
    (value,) = answer(json.dumps({"signature_name": "embed", **form})).values()
    np.testing.assert_allclose(value, expected(network, [[0.0, 0.5]])["embedding"], atol=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        {"instances": []},
        {"instances": [[0.0], [0.0, 0.1]]},
        {"instances": [["loud"]]},
        {"inputs": {"sound": [[0.0]]}},
        {"instances": [[0.0]], "inputs": [[0.0]]},
        {"signature_name": "classify", "instances": [[0.0]]},
    ],
)
def test_what_is_no_request(answer, body):
    assert set(answer(json.dumps(body))) == {"error"}


def test_the_page_in_python(network, answer, monkeypatch, tmp_path, capsys):
    """The REST program, run against the rules behind a real port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/models/panns:predict"
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            content = json.dumps(answer(body)).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    (program,) = [program for program in PROGRAMS if "urllib" in program]
    clip = np.linspace(-0.5, 0.5, 900, dtype="float32")
    soundfile.write(tmp_path / "clip.wav", clip, 32000, subtype="FLOAT")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "localhost")
    with http.server.HTTPServer(("localhost", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        program = program.replace("localhost:8501", f"localhost:{server.server_port}")
        exec(compile(program, "docs/serving.md", "exec"), {"__name__": "__main__"})
        server.shutdown()
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    scores = expected(network, clip[None])["clipwise_output"][0]
    order = np.argsort(-scores)[:2]
    assert [label for _, label in lines] == [LABELS[i] for i in order]
    assert [float(score) for score, _ in lines] == pytest.approx(scores[order], abs=6e-4)


def test_grpc(network, loaded):
    """The gRPC program, against a server of the same service."""
    grpc = pytest.importorskip("grpc")
    reason = "tensorflow-serving-api is not installed"
    predict_pb2 = pytest.importorskip("tensorflow_serving.apis.predict_pb2", reason=reason)
    from tensorflow_serving.apis import prediction_service_pb2_grpc as service

    class Servicer(service.PredictionServiceServicer):
        def Predict(self, request, context):
            assert request.model_spec.name == "panns"
            signature = loaded.signatures[request.model_spec.signature_name]
            inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
            response = predict_pb2.PredictResponse()
            for name, value in signature(**inputs).items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return response

    (program,) = [program for program in PROGRAMS if "grpc" in program]
    names: dict = {}
    exec(compile(program, "docs/serving.md", "exec"), names)
    clips = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 700)).astype("float32")
    server = grpc.server(ThreadPoolExecutor(2))
    service.add_PredictionServiceServicer_to_server(Servicer(), server)
    address = f"localhost:{server.add_insecure_port('localhost:0')}"
    server.start()
    try:
        found = names["ask"](clips, address=address)
        embedded = names["ask"](clips, "embed", address)
    finally:
        server.stop(None)
    want = expected(network, clips)
    for i, scores in enumerate(want["clipwise_output"]):
        labels = [label.decode() for label in found["labels"][i]]
        assert_tags({"labels": labels, "scores": found["scores"][i]}, scores)
    np.testing.assert_allclose(embedded["embedding"], want["embedding"], atol=1e-5)


def saved_model_cli(*words) -> str:
    command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("signature", ["tag", "detect", "serving_default"])
def test_saved_model_cli_shows(served, signature):
    words = ("--dir", served, "--tag_set", "serve", "--signature_def", signature)
    said = saved_model_cli("show", *words)
    (shape,) = re.findall(r"inputs\['waveform'\].*?shape: (\S+ ?\S+)\n", said, re.DOTALL)
    assert shape == "(-1, -1)"


def test_saved_model_cli_runs(network, served, tmp_path):
    clip = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 5000)).astype("float32")
    np.save(tmp_path / "clip.npy", clip)
    words = ("--dir", served, "--tag_set", "serve", "--signature_def", "tag")
    words += ("--inputs", f"waveform={tmp_path}/clip.npy", "--outdir", tmp_path)
    saved_model_cli("run", *words)
    labels = np.load(tmp_path / "labels.npy", allow_pickle=True)[0]
    tags = {"labels": [label.decode() for label in labels]}
    tags["scores"] = np.load(tmp_path / "scores.npy")[0]
    assert_tags(tags, expected(network, clip)["clipwise_output"][0])


def test_the_container_has_what_the_page_says():
    lines = (ROOT / "serving/Dockerfile").read_text().splitlines()
    assert "FROM tensorflow/serving:latest" in lines
    assert "COPY ${MODEL} /models/panns/1" in lines
    assert "ENV MODEL_NAME=panns" in lines
    for command in re.findall(r"^#   (docker .*)$", "\n".join(lines), re.MULTILINE):
        assert " ".join(command.split()[:2]) in ("docker build", "docker run")
        assert command.split("--publish")[0].strip() in PAGE.replace(" \\\n ", "")
