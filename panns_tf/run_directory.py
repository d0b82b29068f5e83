"""What a run directory tells of itself, finished or not."""

import dataclasses
import json
from pathlib import Path

CONFIG, LOG, FINAL, BEST = "config.json", "metrics.jsonl", "final.keras", "best.keras"


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What a run wrote at its start.

    Attributes:
        config: settings by name, those that `panns_tf.config.TrainConfig` had then.
        labels: the classes in order; empty if they were not written.
        training_clips: of each class, or None if they were not written.
    """

    config: dict
    labels: tuple[str, ...]
    training_clips: tuple[int, ...] | None


def read_config(folder: str | Path) -> Recorded:
    """Reads ``config.json`` of a run.

    Raises:
        ValueError: in one line, if it is absent or damaged.
    """
    path = Path(folder) / CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        config, labels = dict(content["config"]), tuple(content.get("labels") or ())
        clips = content.get("training_clips")
        clips = tuple(int(count) for count in clips) if clips else None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {' '.join(repr(error).split())}") from error
    if clips and len(clips) != len(labels):
        raise ValueError(
            f"{path} is damaged: {len(clips)} counts of training_clips for {len(labels)} labels"
        )
    return Recorded(config, labels, clips)


def read_log(folder: str | Path) -> tuple[list[dict], list[int]]:
    """Reads ``metrics.jsonl`` of a run, of which a kill may have cut off the last line.

    Returns:
        Its whole lines, each of numbers and null, with a whole ``step``, and the numbers, from 1,
        of lines that are none. Both are empty where there is no such file.
    """
    path = Path(folder) / LOG
    if not path.is_file():
        return [], []
    lines, damaged = [], []
    for number, text in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            line["step"] = int(line["step"])
            if any(isinstance(value, str | list | dict) for value in line.values()):
                raise ValueError("no number")
        except (ValueError, TypeError, KeyError):
            damaged.append(number)
            continue
        lines.append(line)
    return lines, damaged


def is_finished(folder: str | Path) -> bool:
    """Says whether a run came to its end."""
    return (Path(folder) / FINAL).is_file()
