"""The tasks of the paper's transfer chapter, a row each, and ESC-10."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator

from tfrecords.text import did_you_mean, plain

# Classes in the order of the outputs, spelt as in the data sets: ESC-50's by target number,
# RAVDESS' by the numbers in the file names, from 01.
# fmt: off
CLASSES = {
    "esc50": (
        "dog", "rooster", "pig", "cow", "frog", "cat", "hen", "insects", "sheep", "crow", "rain",
        "sea_waves", "crackling_fire", "crickets", "chirping_birds", "water_drops", "wind",
        "pouring_water", "toilet_flush", "thunderstorm", "crying_baby", "sneezing", "clapping",
        "breathing", "coughing", "footsteps", "laughing", "brushing_teeth", "snoring",
        "drinking_sipping", "door_wood_knock", "mouse_click", "keyboard_typing", "door_wood_creaks",
        "can_opening", "washing_machine", "vacuum_cleaner", "clock_alarm", "clock_tick",
        "glass_breaking", "helicopter", "chainsaw", "siren", "car_horn", "engine", "train",
        "church_bells", "airplane", "fireworks", "hand_saw"),
    "esc10": (
        "dog", "rooster", "rain", "sea_waves", "crackling_fire", "crying_baby", "sneezing",
        "clock_tick", "helicopter", "chainsaw"),
    "dcase2019_task1": (
        "airport", "shopping_mall", "metro_station", "street_pedestrian", "public_square",
        "street_traffic", "tram", "bus", "metro", "park"),
    "dcase2018_task2": (
        "Acoustic_guitar", "Applause", "Bark", "Bass_drum", "Burping_or_eructation", "Bus", "Cello",
        "Chime", "Clarinet", "Computer_keyboard", "Cough", "Cowbell", "Double_bass",
        "Drawer_open_or_close", "Electric_piano", "Fart", "Finger_snapping", "Fireworks", "Flute",
        "Glockenspiel", "Gong", "Gunshot_or_gunfire", "Harmonica", "Hi-hat", "Keys_jangling",
        "Knock", "Laughter", "Meow", "Microwave_oven", "Oboe", "Saxophone", "Scissors", "Shatter",
        "Snare_drum", "Squeak", "Tambourine", "Tearing", "Telephone", "Trumpet", "Violin_or_fiddle",
        "Writing"),
    "msos": ("Effects", "Human", "Music", "Nature", "Urban"),
    "gtzan": (
        "blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae",
        "rock"),
    "ravdess": ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
}
# fmt: on


@dataclasses.dataclass(frozen=True)
class Listing:
    names: tuple[str, ...]  # of its file in small letters, the preferred first
    fold: str | None = None  # of its clips; None where a column has it
    inside: str = ""  # end of the name of its files' folder, where others hold such files too
    only: tuple[str, tuple[str, ...]] | None = None  # a column, if there is one, and values taken


@dataclasses.dataclass(frozen=True)
class Task:
    """A published data set and how the paper tests on it."""

    name: str
    title: str
    clip_seconds: float  # longer clips are cut into such segments, whose predictions are averaged
    published: dict[str, int]  # clips by fold, or by ``train`` and ``test`` where one split is
    shape: str  # what its folder looks like, for error messages
    listings: tuple[Listing, ...] = ()
    # Names of all files with their classes and folds, where there are no tables.
    files: Callable[[], Iterator[tuple[str, str, str]]] | None = None
    group: str | None = None  # what must not cross a split, a regular expression in file names
    metric: str = "accuracy"
    # The paper's with all clips, by strategy (Tables XIII to XVIII); None where it is in doubt.
    results: dict[str, float | None] = dataclasses.field(default_factory=dict)
    doubtful: tuple[str, ...] = ()  # stems of files corrupt or missing in most copies

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in the order of the outputs."""
        return CLASSES[self.name]


def _gtzan() -> Iterator[tuple[str, str, str]]:
    """Ten folds by the number in the file name: a missing file moves no other one."""
    for genre, number in itertools.product(CLASSES["gtzan"], range(100)):
        yield f"{genre}.{number:05d}.wav", genre, str(number // 10 + 1)


def _ravdess() -> Iterator[tuple[str, str, str]]:
    """The speech, in four folds of six actors, three of each sex (the paper's are not known)."""
    emotions = range(1, len(CLASSES["ravdess"]) + 1)
    for actor, emotion, *take in itertools.product(range(1, 25), emotions, *[(1, 2)] * 3):
        if (emotion, take[0]) != (1, 2):  # neutral has no strong intensity
            name = "-".join(f"{number:02d}" for number in (3, 1, emotion, *take, actor))
            yield f"{name}.wav", CLASSES["ravdess"][emotion - 1], str((actor - 1) // 6 + 1)


def _folds(count: int, clips: int) -> dict[str, int]:
    return {str(number): clips for number in range(1, count + 1)}


def _results(scratch: float, freeze_l1: float | None, freeze_l3: float, finetune: float) -> dict:
    frozen = {"freeze_l1": freeze_l1, "freeze_l3": freeze_l3}
    return {"scratch": scratch, **frozen, "finetune": finetune}


_ESC_TABLES = ("esc50.csv", "esc10.csv")
_ESC = {
    "shape": "meta/esc50.csv and audio/<fold>-<clip>-<take>-<target>.wav",
    "group": r"\d-(?P<group>\d+)-",  # the source recording
}
# fmt: off
TASKS = (
    Task("esc50", "ESC-50", 5.0, _folds(5, 400), listings=(Listing(_ESC_TABLES),), **_ESC,
         results=_results(0.833, 0.908, 0.918, 0.947)),
    Task("esc10", "ESC-10", 5.0, _folds(5, 80),
         listings=(Listing(_ESC_TABLES, only=("esc10", ("True", "1"))),), **_ESC),
    Task("dcase2019_task1", "DCASE 2019 task 1", 10.0, {"train": 9185, "test": 4185},
         "evaluation_setup/fold1_train.csv, fold1_evaluate.csv and audio/*.wav",
         (Listing(("fold1_train.csv",), "train"), Listing(("fold1_evaluate.csv",), "test")),
         group=r"-(?P<group>[a-z]+-\d+)-",  # a place in a city
         results=_results(0.691, None, 0.607, 0.764)),
    Task("dcase2018_task2", "DCASE 2018 task 2", 4.0, {"train": 9473, "test": 1600},
         "audio_train/, audio_test/, and train.csv and test_post_competition_scoring_clips.csv of "
         "FSDKaggle2018.meta (Zenodo, record 2552860)",
         (Listing(("train_post_competition.csv", "train.csv"), "train", "audio_train"),
          Listing(("test_post_competition_scoring_clips.csv", "test_post_competition.csv"),
                  "test", "audio_test", only=("usage", ("Public", "Private")))),  # those scored
         metric="mAP@3", results=_results(0.902, 0.717, 0.768, 0.941),
         doubtful=("0b0427e2", "6ea0099f", "b39975f5")),
    Task("msos", "MSoS", 5.0, {"train": 1500, "test": 500},
         "Logsheet_Development.csv, Development/<Category>/*.wav, Logsheet_EvaluationMaster.csv "
         "and Evaluation/*.wav",
         (Listing(("logsheet_development.csv",), "train", "development"),
          Listing(("logsheet_evaluationmaster.csv", "logsheet_evaluation.csv"),
                  "test", "evaluation")),
         results=_results(0.760, 0.886, 0.930, 0.960)),
    Task("gtzan", "GTZAN", 30.0, _folds(10, 100), "genres/<genre>/<genre>.NNNNN.wav",
         files=_gtzan, results=_results(0.758, 0.827, 0.858, 0.915), doubtful=("jazz.00054",)),
    Task("ravdess", "RAVDESS", 4.0, _folds(4, 360),
         "Actor_01/03-01-06-01-02-01-01.wav to Actor_24/",
         files=_ravdess, group=r"(?P<group>\d\d)$",  # the actor
         results=_results(0.692, 0.397, 0.401, 0.721)),
)
# fmt: on


def find_task(name: str) -> Task:
    """The task of a name in any case, with any of ``-``, ``_`` and none between words."""
    known = {plain(task.name): task for task in TASKS}
    if plain(name) not in known:
        hint = did_you_mean(name, [task.name for task in TASKS])
        raise ValueError(f"no task {name!r}; {hint} Leave --task out for your own data")
    return known[plain(name)]
