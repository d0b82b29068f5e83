import numpy as np
import pytest
import soundfile
import soxr

import panns_tf
from panns_tf.inference.results import Embedding, Tagging
from panns_tf.inference.tagging import AudioTagger, best
from tests.panns_tf.inference.support import kept, noise
from tfrecords.audio import AudioError


@pytest.fixture(scope="module")
def tagger():
    return panns_tf.AudioTagger(kept("Tiny"))


def expected_of(tagger, samples):
    return tagger.hearer.network(samples[None], training=False)["clipwise_output"][0].numpy()


def test_every_kind_of_source(tagger, tmp_path):
    stereo = np.stack([noise(44100, 0), noise(44100, 1)], axis=1)
    path = tmp_path / "x.wav"
    soundfile.write(path, stereo, 44100, subtype="FLOAT")
    mono = soxr.resample(stereo.mean(axis=1), 44100, 8000)
    expected = expected_of(tagger, mono)
    sources = [
        (str(path), None),
        (path, None),
        (path.read_bytes(), None),
        (stereo, 44100),
        (stereo.T, 44100),
    ]
    for source, rate in sources:
        found = tagger.tag(source, rate, top=None)
        assert isinstance(found, Tagging)
        assert found.seconds == pytest.approx(1)
        np.testing.assert_allclose(found.scores, expected, atol=1e-5)
    integers = np.round(stereo * 32768).astype(np.int16)
    np.testing.assert_allclose(tagger.tag(integers, 44100).scores, expected, atol=1e-3)
    for many in ([path, str(path)], (path,), tmp_path):
        found = tagger.tag(many)
        assert isinstance(found, list)
        np.testing.assert_allclose(found[0].scores, expected, atol=1e-5)


def test_tags_are_the_best(tagger):
    found = tagger.tag(noise(8000), 8000, top=2)
    order = np.argsort(-found.scores)
    assert [tag.index for tag in found.tags] == order[:2].tolist()
    assert [tag.label for tag in found.tags] == [f"class {i}" for i in order[:2]]
    middle = float(np.sort(found.scores)[1])
    assert len(tagger.tag(noise(8000), 8000, threshold=middle - 1e-4).tags) == 2
    assert tagger.tag(noise(8000), 8000, threshold=1.0).tags == ()


def test_of_equal_scores_the_lower_number_is_first():
    found = best(np.array([0.2, 0.7, 0.7], "float32"), ["a", "b", "c"], 2, 0)
    assert [tag.label for tag in found] == ["b", "c"]


def test_embeddings(tagger):
    samples = noise(20000)
    found = tagger.embed(samples, 8000)
    assert isinstance(found, Embedding)
    expected = tagger.hearer.network(samples[None], training=False)["embedding"][0]
    np.testing.assert_allclose(found.vector, expected, atol=1e-5 * max(1, np.abs(expected).max()))
    windows = tagger.embed(samples, 8000, window=1.0, hop=0.5)
    assert windows.vector.shape == (4, 8)
    assert windows.starts == (0.0, 0.5, 1.0, 1.5)


def test_windows_are_results_of_their_own(tagger):
    found = tagger.tag(noise(20000), 8000, window=1.0)
    assert [tagging.start for tagging in found] == [0.0, 1.0, 1.5]
    assert {tagging.seconds for tagging in found} == {1.0}
    short = tagger.tag(noise(4000), 8000, window=1.0)
    assert [(tagging.start, tagging.seconds) for tagging in short] == [(0.0, 0.5)]


@pytest.mark.parametrize(
    ("source", "rate", "error", "said"),
    [
        (np.zeros(8), None, ValueError, "an array needs rate="),
        (np.zeros(0), 8000, AudioError, "empty"),
        (np.full(9, np.nan), 8000, AudioError, "not finite"),
        ("nowhere.wav", None, AudioError, "no such file"),
        (b"text", None, AudioError, "not audio"),
        (17, None, ValueError, "int"),
        ("", None, AudioError, "a folder"),
        ("a" * 5000, None, AudioError, "too long"),
        (np.ma.masked_greater(np.ones(5), 0.5), 8000, AudioError, "masked"),
        (np.zeros(8), "8000", ValueError, "rate must be a number"),
    ],
)
def test_bad_sources(tagger, source, rate, error, said):
    with pytest.raises(error, match=said):
        tagger.tag(source, rate)
    with pytest.raises(error, match=said):
        tagger.tag([source, "nowhere.wav"], rate)


def test_bad_settings(tagger):
    for settings, said in (
        ({"top": 0}, "--top must be a whole number of at least 1; received 0"),
        ({"top": 1.5}, "--top must be a whole number"),
        ({"top": "3"}, "--top must be a whole number"),
        ({"threshold": None}, "--threshold must lie in"),
        ({"hop": 1.0}, "--hop 1.0 needs a --window"),
        ({"window": "1"}, "--window must be seconds"),
        ({"threshold": 2}, "--threshold must lie in"),
        ({"window": 1, "hop": 2}, "--hop 2 is longer"),
    ):
        with pytest.raises(ValueError, match=said):
            tagger.tag(noise(800), 8000, **settings)


def test_warns_of_what_is_beyond_full_scale(tagger):
    with pytest.warns(UserWarning, match=r"beyond \[-1, 1\]"):
        tagger.tag(3 * np.ones(800), 8000)


def test_models_from_where_they_lie(tagger, tmp_path, monkeypatch):
    network = kept("Tiny")
    network.save(tmp_path / "final.keras")
    scores = tagger.tag(noise(8000), 8000).scores
    for model, weights in (
        (tmp_path, "audioset"),
        (tmp_path / "final.keras", "audioset"),
        ("tiny", tmp_path / "final.keras"),
    ):
        found = AudioTagger(model, weights)
        assert found.labels == network.labels
        np.testing.assert_allclose(found.tag(noise(8000), 8000).scores, scores, atol=1e-6)
    with pytest.raises(ValueError, match=r"holds a Tiny, not a Wavegram_Tiny"):
        AudioTagger("Wavegram_Tiny", tmp_path / "final.keras")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"is a folder without final.keras or best.keras"):
        AudioTagger(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"no such file: .*x.pth"):
        AudioTagger("x.pth")
    with pytest.raises(ValueError, match=r"no such file: nowhere/mine"):
        AudioTagger("nowhere/mine")
    with pytest.raises(ValueError, match="a model without a name"):
        AudioTagger("")
    with pytest.raises(ValueError, match=r"has weights of its own; received x.pth besides"):
        AudioTagger(tmp_path, "x.pth")
    with pytest.raises(ValueError, match=r"unknown network 'cnn41'"):
        AudioTagger("cnn41")


def test_classes_without_names_are_numbered():
    assert AudioTagger("Tiny", None).labels[:2] == ["Speech", "Male speech, man speaking"]
