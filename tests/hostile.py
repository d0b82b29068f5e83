"""Recordings as nobody would want them, the same ones for the same seed."""

import os
import struct
from pathlib import Path

import numpy as np
import soundfile

RATE = 8000
#: Whole files of every kind: rate, channels, how they are written.
WHOLE = {
    "16.wav": (RATE, 1, {"subtype": "PCM_16"}),
    "24.wav": (44100, 2, {"subtype": "PCM_24"}),
    "float.wav": (RATE, 1, {"subtype": "FLOAT"}),
    "u8.wav": (16000, 1, {"subtype": "PCM_U8"}),
    "192k.wav": (192000, 1, {"subtype": "PCM_16"}),
    "8channels.wav": (16000, 8, {"subtype": "PCM_16"}),
    "adpcm.wav": (RATE, 1, {"subtype": "IMA_ADPCM"}),
    "x.flac": (32000, 1, {}),
    "x.ogg": (32000, 2, {}),
    "opus.ogg": (48000, 1, {"subtype": "OPUS"}),
    "x.mp3": (32000, 1, {}),
    "x.aiff": (RATE, 1, {}),
    "x.caf": (RATE, 1, {}),
}
#: What only FFmpeg writes and reads: codec and channels.
FFMPEG = (
    ("ffmpeg.m4a", "aac", "stereo"),
    ("ffmpeg.webm", "libopus", "stereo"),
    ("ffmpeg.aac", "aac", "stereo"),
    ("surround.m4a", "aac", "7.1"),
)
#: Sounds that are strange, but whole: each is read or refused for what it holds.
SOUNDS = {
    "none": [],
    "one": [0.5],
    "silence": np.zeros(RATE),
    "constant": np.full(RATE, 0.7),
    "nan": [0.1, np.nan, 0.1],
    "infinite": [0.1, -np.inf],
    "loud": [5.0, -3.0],
    "absurd": [1e30, 0.0],
}
#: What is no sound at all.
CONTENTS = {
    "empty": b"",
    "zero": b"\0",
    "zeros": bytes(10000),
    "text": b"no audio\n" * 100,
    "page": b"<html>not found</html>" * 50,
    "riff": b"RIFF",
    "riff_zeros": b"RIFF" + bytes(200_000),
    "flac_start": b"fLaC",
    "ogg_start": b"OggS",
    "id3": b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
    "playlist": b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n",
    "concat": b"ffconcat version 1.0\nfile /etc/hostname\n",
    "mp4": b"\0\0\0\x20ftypM4A " + bytes(100),
    "webm": b"\x1a\x45\xdf\xa3" + bytes(100),
}
EXTENSIONS = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".webm", ".aac", ".txt", ".raw", "")
NAMES = (
    b"new\nline.wav",
    b"not \xff\xfe utf-8.wav",
    b"-leading dash.wav",
    b"--help.wav",
    b"[1]*?.wav",
    b" .wav",
    b"tab\tescape\x1b[31m.wav",
    "śpiew 🐦\u202e.wav".encode(),
    b"a" * 251 + b".wav",
)


def hostile_inputs(folder: Path, count: int, seed: int) -> list[Path]:
    """Writes hostile inputs: first each kind that has a name, then files spoilt at random.

    Returns:
        ``count`` paths below the folder, of which some lead nowhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = _whole(folder)
    paths = [folder / name for name in WHOLE]
    for name, samples in SOUNDS.items():
        paths.append(folder / f"{name}.wav")
        soundfile.write(paths[-1], np.array(samples), RATE, subtype="DOUBLE")
        contents.append(paths[-1].read_bytes())
    for number, (name, content) in enumerate(CONTENTS.items()):
        for extension in (EXTENSIONS[number % len(EXTENSIONS)], ".wav", ".m4a"):
            paths.append(folder / f"{name}_{number}{extension}")
            paths[-1].write_bytes(content)
    paths += _odd_places(folder)
    for name in NAMES:
        paths.append(Path(os.fsdecode(os.fsencode(folder) + b"/" + name)))
        paths[-1].write_bytes(contents[0])
    paths += _odd_headers(folder, contents[0])
    rng = np.random.default_rng(seed)
    for number in range(count - len(paths)):
        content, other = (contents[rng.integers(len(contents))] for _ in range(2))
        extension = EXTENSIONS[rng.integers(len(EXTENSIONS))]
        paths.append(folder / f"m{number:05d}{extension}")
        paths[-1].write_bytes(mutated(rng, content, other))
    return paths[:count]


def mutated(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    """One of the ways in which files are spoilt, or two."""
    out = bytearray(content)
    for _ in range(rng.integers(1, 3)):
        kind, place = rng.integers(12), int(rng.integers(len(out) + 1))
        if not out or kind == 0:
            out += rng.bytes(100)
        elif kind == 1:  # a few bits anywhere
            for _ in range(rng.integers(1, 9)):
                out[rng.integers(len(out))] ^= 1 << rng.integers(8)
        elif kind == 2:  # bits of the header
            for _ in range(rng.integers(1, 5)):
                out[rng.integers(min(64, len(out)))] ^= 1 << rng.integers(8)
        elif kind == 3:  # extreme numbers in the header
            first = int(rng.integers(4, 60))
            out[first : first + 4] = [b"\xff" * 4, bytes(4), b"\x7f" * 4][rng.integers(3)]
        elif kind == 4:
            del out[place:]
        elif kind == 5:
            del out[:place]
        elif kind == 6:  # bytes lost
            del out[place : place + int(rng.integers(1, 500))]
        elif kind == 7:  # bytes that came in
            out[place:place] = rng.bytes(int(rng.integers(1, 500)))
        elif kind == 8:  # the rest of another file
            out[place:] = other[place:]
        elif kind == 9:  # bytes that were overwritten
            out[place : place + 500] = rng.bytes(500)
        elif kind == 10:  # a hole, as a lost block leaves it
            out[place : place + 4096] = bytes(4096)
        else:  # pieces in another order
            pieces = [out[at : at + 512] for at in range(0, len(out), 512)]
            out = bytearray().join(pieces[at] for at in rng.permutation(len(pieces)))
    return bytes(out)


def _whole(folder: Path) -> list[bytes]:
    rng = np.random.default_rng(0)
    contents = []
    for name, (rate, channels, options) in WHOLE.items():
        sound = rng.uniform(-0.5, 0.5, (rate // 4, channels))
        soundfile.write(folder / name, sound, rate, **options)
        contents.append((folder / name).read_bytes())
    return contents + by_ffmpeg(folder)


def by_ffmpeg(folder: Path) -> list[bytes]:
    """Writes a quarter of a second of noise in these, where FFmpeg is installed."""
    try:
        import av
    except ImportError:
        return []
    contents = []
    for name, codec, layout in FFMPEG:
        path = folder / name
        with av.open(str(path), "w", format="adts" if path.suffix == ".aac" else None) as container:
            stream = container.add_stream(codec, rate=48000, layout=layout)
            channels = stream.codec_context.channels
            noise = np.random.default_rng(0).uniform(-16000, 16000, (1, 12000 * channels))
            frame = av.AudioFrame.from_ndarray(noise.astype(np.int16), format="s16", layout=layout)
            frame.rate = 48000
            resampler = av.AudioResampler(format=stream.format, layout=layout, rate=48000)
            for part in [*resampler.resample(frame), None]:
                container.mux(stream.encode(part))
        contents.append(path.read_bytes())
    return contents


def _odd_places(folder: Path) -> list[Path]:
    """Names of audio where there is no file."""
    made = {name: folder / f"{name}.wav" for name in ("folder", "dangling", "loop", "pipe")}
    made["folder"].mkdir(exist_ok=True)
    for link, target in (("dangling", "nowhere.wav"), ("loop", "loop.wav")):
        if not made[link].is_symlink():
            made[link].symlink_to(target)
    if not made["pipe"].exists():
        os.mkfifo(made["pipe"])
    forbidden = folder / "forbidden.wav"  # root may read it
    forbidden.touch()
    forbidden.chmod(0)
    missing = [folder / "missing.wav", folder / ("n" * 300 + ".wav"), Path("zero\0byte.wav")]
    return [*made.values(), forbidden, *missing]


def _odd_headers(folder: Path, wav: bytes) -> list[Path]:
    """A plain WAV file of 16 bits whose header says what cannot be."""
    size = wav.index(b"data") + 4
    changes = {
        "4GB": (size, "<I", 0xFFFFFFF0),
        "4GB_streamed": (size, "<I", 0xFFFFFFFF),
        "3GB": (size, "<I", 3 * 2**30),
        "length_0": (size, "<I", 0),
        "rate_0": (24, "<I", 0),
        "rate_1": (24, "<I", 1),
        "rate_huge": (24, "<I", 2**31 - 1),
        "channels_0": (22, "<H", 0),
        "channels_huge": (22, "<H", 65535),
        "bits_0": (34, "<H", 0),
        "codec": (20, "<H", 0x7777),
    }
    paths = []
    for name, (place, kind, value) in changes.items():
        content = bytearray(wav)
        struct.pack_into(kind, content, place, value)
        paths.append(folder / f"header_{name}.wav")
        paths[-1].write_bytes(content)
    return paths
