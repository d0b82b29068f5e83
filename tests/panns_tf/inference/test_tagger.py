import numpy as np
import pytest
import soundfile
import soxr

from panns_tf import AudioTagger
from panns_tf.inference.results import Embedding, Tagging, top_tags
from tests.panns_tf.inference.support import kept, noise, outputs_of
from tfrecords.audio import AudioError


@pytest.fixture(scope="module")
def tagger():
    return AudioTagger(kept("Tiny"))


def test_every_kind_of_source(tagger, tmp_path):
    stereo = np.stack([noise(44100, 0), noise(44100, 1)], axis=1)
    path = tmp_path / "x.wav"
    soundfile.write(path, stereo, 44100, subtype="FLOAT")
    mono = soxr.resample(stereo.mean(axis=1), 44100, 8000)
    expected = outputs_of(kept("Tiny"), mono[None])["clipwise_output"][0]
    for source, rate in (
        (str(path), None),
        (path, None),
        (path.read_bytes(), None),
        (stereo, 44100),
        (stereo.T, 44100),
    ):
        tagging = tagger.tag(source, rate, top=None)
        assert isinstance(tagging, Tagging)
        assert tagging.seconds == pytest.approx(1)
        np.testing.assert_allclose(tagging.scores, expected, atol=1e-5)
    integers = np.round(stereo * 32768).astype(np.int16)
    np.testing.assert_allclose(tagger.tag(integers, 44100).scores, expected, atol=1e-3)
    for many in ([path, str(path)], (path,), tmp_path):
        taggings = tagger.tag(many)
        assert isinstance(taggings, list)
        np.testing.assert_allclose(taggings[0].scores, expected, atol=1e-5)


def test_tags_are_the_best(tagger):
    tagging = tagger.tag(noise(8000), 8000, top=2)
    order = np.argsort(-tagging.scores)
    assert [tag.index for tag in tagging.tags] == order[:2].tolist()
    assert [tag.label for tag in tagging.tags] == [f"class {i}" for i in order[:2]]
    middle = float(np.sort(tagging.scores)[1])
    assert len(tagger.tag(noise(8000), 8000, threshold=middle - 1e-4).tags) == 2
    assert tagger.tag(noise(8000), 8000, threshold=1.0).tags == ()
    equal = top_tags(np.array([0.2, 0.7, 0.7], "float32"), ["a", "b", "c"], 2)
    assert [tag.label for tag in equal] == ["b", "c"]


def test_embeddings(tagger):
    samples = noise(20000)
    embedding = tagger.embed(samples, 8000)
    assert isinstance(embedding, Embedding)
    expected = outputs_of(kept("Tiny"), samples[None])["embedding"][0]
    scale = max(1, np.abs(expected).max())
    np.testing.assert_allclose(embedding.vector, expected, atol=1e-5 * scale)
    windows = tagger.embed(samples, 8000, window=1.0, hop=0.5)
    assert windows.vector.shape == (4, 8)
    assert windows.starts == (0.0, 0.5, 1.0, 1.5)
    assert windows.to_csv().splitlines()[0] == "file,start,0,1,2,3,4,5,6,7"
    assert len(windows.to_csv().splitlines()) == 5


def test_windows_are_results_of_their_own(tagger):
    taggings = tagger.tag(noise(20000), 8000, window=1.0)
    assert [tagging.start for tagging in taggings] == [0.0, 1.0, 1.5]
    assert {tagging.seconds for tagging in taggings} == {1.0}
    assert '"start": 1.5, "seconds": 1.0' in taggings[2].to_json()
    (short,) = tagger.tag(noise(4000), 8000, window=1.0)
    assert (short.start, short.seconds) == (0.0, 0.5)
    padded = outputs_of(kept("Tiny"), np.pad(noise(4000), (0, 4000))[None])["clipwise_output"][0]
    np.testing.assert_allclose(short.scores, padded, atol=1e-5)


@pytest.mark.parametrize(
    ("source", "rate", "error", "text"),
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
        (np.zeros(8), "8000", ValueError, "rate="),
    ],
)
def test_bad_sources(tagger, source, rate, error, text):
    for given in (source, [source, "nowhere.wav"]):
        with pytest.raises(error, match=text):
            tagger.tag(given, rate)


def test_bad_settings(tagger):
    for settings, text in (
        ({"top": 0}, "top must be at least 1; received 0"),
        ({"top": 1.5}, "top must be a whole number"),
        ({"top": "3"}, "top must be a whole number"),
        ({"threshold": None}, "threshold must be a number"),
        ({"threshold": 2}, "threshold must be "),
        ({"hop": 1.0}, "--hop 1 needs a --window"),
        ({"window": "1"}, "window must be a number"),
        ({"window": 1, "hop": 2}, "--hop 2 is longer"),
    ):
        with pytest.raises(ValueError, match=text):
            tagger.tag(noise(800), 8000, **settings)


def test_samples_beyond_full_scale_are_warned_of(tagger):
    with pytest.warns(UserWarning, match=r"beyond \[-1, 1\]"):
        tagger.tag(3 * np.ones(800), 8000)


def test_models_from_where_they_lie(tagger, tmp_path):
    network = kept("Tiny")
    network.save(tmp_path / "final.keras")
    scores = tagger.tag(noise(8000), 8000).scores
    for model, weights in (
        (tmp_path, "audioset"),
        (tmp_path / "final.keras", "audioset"),
        ("tiny", tmp_path / "final.keras"),
        ("tiny", tmp_path),
    ):
        found = AudioTagger(model, weights)
        assert found.labels == network.labels
        np.testing.assert_allclose(found.tag(noise(8000), 8000).scores, scores, atol=1e-6)
    (tmp_path / "empty").mkdir()
    for model, weights, text in (
        ("Wavegram_Tiny", tmp_path / "final.keras", r"holds a Tiny, not a Wavegram_Tiny"),
        ("Wavegram_Tiny", tmp_path, r"holds a Tiny, not a Wavegram_Tiny"),
        ("cnn99", tmp_path, r"unknown network 'cnn99'"),
        (tmp_path / "empty", None, r"is a folder without final.keras or best.keras"),
        ("x.pth", None, r"x.pth: no such file"),
        ("nowhere/mine", None, r"nowhere/mine: no such file"),
        (tmp_path, "x.pth", r"has weights of its own; received x.pth besides"),
        ("cnn41", None, r"unknown network 'cnn41'"),
    ):
        with pytest.raises(ValueError, match=text):
            AudioTagger(model, weights)
    assert AudioTagger("Tiny", None).labels[:2] == ["Speech", "Male speech, man speaking"]
