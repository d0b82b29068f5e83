"""The tasks of the paper's transfer chapter, a row each, and ESC-10."""

import dataclasses

from tfrecords.text import did_you_mean, plain

# Classes in the order of the outputs, spelt as in the data sets: ESC-50's by target number,
# RAVDESS' by the numbers in the file names, from 01.
CLASSES = {
    "esc50": (
        *("dog", "rooster", "pig", "cow", "frog", "cat", "hen", "insects", "sheep", "crow"),
        *("rain", "sea_waves", "crackling_fire", "crickets", "chirping_birds", "water_drops"),
        *("wind", "pouring_water", "toilet_flush", "thunderstorm", "crying_baby", "sneezing"),
        *("clapping", "breathing", "coughing", "footsteps", "laughing", "brushing_teeth"),
        *("snoring", "drinking_sipping", "door_wood_knock", "mouse_click", "keyboard_typing"),
        *("door_wood_creaks", "can_opening", "washing_machine", "vacuum_cleaner", "clock_alarm"),
        *("clock_tick", "glass_breaking", "helicopter", "chainsaw", "siren", "car_horn"),
        *("engine", "train", "church_bells", "airplane", "fireworks", "hand_saw"),
    ),
    "dcase2019_task1": (
        *("airport", "shopping_mall", "metro_station", "street_pedestrian", "public_square"),
        *("street_traffic", "tram", "bus", "metro", "park"),
    ),
    "dcase2018_task2": (
        *("Acoustic_guitar", "Applause", "Bark", "Bass_drum", "Burping_or_eructation", "Bus"),
        *("Cello", "Chime", "Clarinet", "Computer_keyboard", "Cough", "Cowbell", "Double_bass"),
        *("Drawer_open_or_close", "Electric_piano", "Fart", "Finger_snapping", "Fireworks"),
        *("Flute", "Glockenspiel", "Gong", "Gunshot_or_gunfire", "Harmonica", "Hi-hat"),
        *("Keys_jangling", "Knock", "Laughter", "Meow", "Microwave_oven", "Oboe", "Saxophone"),
        *("Scissors", "Shatter", "Snare_drum", "Squeak", "Tambourine", "Tearing", "Telephone"),
        *("Trumpet", "Violin_or_fiddle", "Writing"),
    ),
    "msos": ("Effects", "Human", "Music", "Nature", "Urban"),
    "gtzan": (
        *("blues", "classical", "country", "disco", "hiphop"),
        *("jazz", "metal", "pop", "reggae", "rock"),
    ),
    "ravdess": (*("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),),
}

ESC10 = (
    *("dog", "rooster", "rain", "sea_waves", "crackling_fire", "crying_baby", "sneezing"),
    *("clock_tick", "helicopter", "chainsaw"),
)


@dataclasses.dataclass(frozen=True)
class Task:
    """A published data set and how the paper tests on it.

    Attributes:
        name: as ``--task`` takes it.
        title: as a person writes it.
        layout: which reader of `panns_tf.transfer.layouts` understands its folder.
        shape: what that folder looks like, for error messages.
        classes: labels in the order of the outputs.
        clip_seconds: what a network hears at once; longer clips are cut into such segments, whose
            predictions are averaged.
        published: clips by fold, or by ``train`` and ``test`` where there is one split.
        source: whom to cite.
        metric: what the paper gives.
        results: the paper's with all training clips, by strategy (Tables XIII to XVIII); None where
            the printed source is in doubt.
        doubtful: stems of files known to be corrupt or missing in most copies.
    """

    name: str
    title: str
    layout: str
    shape: str
    classes: tuple[str, ...]
    clip_seconds: float
    published: dict[str, int]
    source: str
    metric: str = "accuracy"
    results: dict[str, float | None] = dataclasses.field(default_factory=dict)
    doubtful: tuple[str, ...] = ()

    @property
    def folds(self) -> tuple[str, ...]:
        """Names of the folds, each of which is tested once; none where there is one split."""
        return () if "train" in self.published else tuple(self.published)


def _folds(count: int, clips: int) -> dict[str, int]:
    return {str(number): clips for number in range(1, count + 1)}


def _results(scratch: float, freeze_l1: float | None, freeze_l3: float, finetune: float) -> dict:
    frozen = {"freeze_l1": freeze_l1, "freeze_l3": freeze_l3}
    return {"scratch": scratch, **frozen, "finetune": finetune}


_PICZAK = "Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015"

TASKS = (
    Task(
        name="esc50",
        title="ESC-50",
        layout="esc",
        shape="meta/esc50.csv and audio/<fold>-<clip>-<take>-<target>.wav",
        classes=CLASSES["esc50"],
        clip_seconds=5.0,
        published=_folds(5, 400),
        source=_PICZAK,
        results=_results(0.833, 0.908, 0.918, 0.947),
    ),
    Task(
        name="esc10",
        title="ESC-10",
        layout="esc",
        shape="meta/esc50.csv and audio/<fold>-<clip>-<take>-<target>.wav",
        classes=ESC10,
        clip_seconds=5.0,
        published=_folds(5, 80),
        source=_PICZAK,
    ),
    Task(
        name="dcase2019_task1",
        title="DCASE 2019 task 1",
        layout="dcase2019",
        shape="meta.csv, evaluation_setup/fold1_train.csv, fold1_evaluate.csv and audio/*.wav",
        classes=CLASSES["dcase2019_task1"],
        clip_seconds=10.0,
        published={"train": 9185, "test": 4185},
        source=(
            "Mesaros, Heittola and Virtanen, TAU Urban Acoustic Scenes 2019, development data set"
        ),
        results=_results(0.691, None, 0.607, 0.764),
    ),
    Task(
        name="dcase2018_task2",
        title="DCASE 2018 task 2",
        layout="fsdkaggle",
        shape="audio_train/, audio_test/, train.csv and test_post_competition_scoring_clips.csv",
        classes=CLASSES["dcase2018_task2"],
        clip_seconds=4.0,
        published={"train": 9473, "test": 1600},
        source=(
            "Fonseca et al., General-Purpose Tagging of Freesound Audio with AudioSet Labels, "
            "DCASE 2018 (FSDKaggle2018)"
        ),
        metric="mAP@3",
        results=_results(0.902, 0.717, 0.768, 0.941),
        doubtful=("0b0427e2", "6ea0099f", "b39975f5"),
    ),
    Task(
        name="msos",
        title="MSoS",
        layout="msos",
        shape=(
            "Logsheet_Development.csv, Development/<Category>/*.wav, "
            "Logsheet_EvaluationMaster.csv and Evaluation/*.wav"
        ),
        classes=CLASSES["msos"],
        clip_seconds=5.0,
        published={"train": 1500, "test": 500},
        source="Making Sense of Sounds Data Challenge 2018",
        results=_results(0.760, 0.886, 0.930, 0.960),
    ),
    Task(
        name="gtzan",
        title="GTZAN",
        layout="gtzan",
        shape="genres/<genre>/<genre>.NNNNN.wav",
        classes=CLASSES["gtzan"],
        clip_seconds=30.0,
        published=_folds(10, 100),
        source=(
            "Tzanetakis and Cook, Musical Genre Classification of Audio Signals, IEEE Transactions "
            "on Speech and Audio Processing 10 (2002)"
        ),
        results=_results(0.758, 0.827, 0.858, 0.915),
        doubtful=("jazz.00054",),
    ),
    Task(
        name="ravdess",
        title="RAVDESS",
        layout="ravdess",
        shape="Actor_01/03-01-06-01-02-01-01.wav to Actor_24/",
        classes=CLASSES["ravdess"],
        clip_seconds=4.0,
        published=_folds(4, 360),
        source="Livingstone and Russo, PLoS ONE 13(5): e0196391 (2018)",
        results=_results(0.692, 0.397, 0.401, 0.721),
    ),
)


def find_task(name: str) -> Task:
    """Returns a task by its name, in any case and with any of ``-``, ``_`` and none between words.

    Raises:
        ValueError: if there is no such task.
    """
    known = {plain(task.name): task for task in TASKS}
    wanted = plain(name)
    if wanted not in known:
        names = [task.name for task in TASKS]
        raise ValueError(
            f"no task {name!r}; {did_you_mean(name, names)} There are {', '.join(names)}, and none "
            "for your own data"
        )
    return known[wanted]
