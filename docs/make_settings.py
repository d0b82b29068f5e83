"""Writes docs/settings.md: the settings of the commands, from their declarations in the code."""

from pathlib import Path

from panns_tf.config import TrainConfig
from panns_tf.demo import DemoSettings
from panns_tf.evaluation.scores import EvaluateSettings
from panns_tf.export.settings import ExportSettings
from panns_tf.inference.cli import ModelSettings
from panns_tf.inference.events import EventSettings
from panns_tf.inference.results import OutputSettings, TagSettings
from panns_tf.transfer.settings import FinetuneConfig, Options
from tfrecords.flags import flag_table
from tfrecords.plan import PackSettings

SECTIONS = {
    "train": (TrainConfig,),
    "finetune": (Options, FinetuneConfig),
    "evaluate": (EvaluateSettings,),
    "tag": (TagSettings, ModelSettings, OutputSettings),
    "detect": (EventSettings, ModelSettings, OutputSettings),
    "export": (ExportSettings,),
    "demo": (DemoSettings,),
    "pack": (PackSettings,),
}


def settings_page() -> str:
    """The page as Markdown."""
    parts = [
        "# Settings of the commands",
        "Made from the code by `python docs/make_settings.py`. `panns-tf COMMAND --help` has the\n"
        "same, and the few flags that are no settings.",
    ]
    for command, classes in SECTIONS.items():
        parts.append(f"## `panns-tf {command}`")
        parts += [flag_table(cls) for cls in classes]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "settings.md").write_text(settings_page(), encoding="utf-8")
