"""A run's settings as text, and as TensorBoard's hyperparameters."""

import dataclasses

import tensorflow as tf

from panns_tf.config import BESIDES, TrainConfig


def as_markdown(settings: dict) -> str:
    """Returns a table of the settings that are set, those other than the defaults in bold."""
    default = dataclasses.asdict(TrainConfig())
    lines = ["| setting | value |", "|---|---|"]
    for name, value in settings.items():
        if value is None:
            continue
        shown = str(value).replace("|", "\\|")
        mark = "**" if value != default.get(name) else ""
        lines.append(f"| {name} | {mark}{shown}{mark} |")
    return "\n".join(lines)


def hyperparameters(config: TrainConfig) -> dict[str, bool | float | str]:
    """Returns what decides the outcome of a run, as TensorBoard's HParams takes it."""
    found = {}
    for name, value in dataclasses.asdict(config).items():
        if name not in (*BESIDES, "data", "eval_data") and value is not None:
            found[name] = value
    return found


def write_hparams(config: TrainConfig, name: str, began: float) -> None:
    """Writes the hyperparameters of a run; a folder of runs becomes a sweep in TensorBoard."""
    from tensorboard.plugins.hparams import api

    api.hparams(hyperparameters(config), trial_id=name, start_time_secs=began)


def write_end(finished: bool) -> None:
    """Writes how a run ended."""
    from tensorboard.plugins.hparams import api_pb2, summary

    status = api_pb2.STATUS_SUCCESS if finished else api_pb2.STATUS_FAILURE
    content = summary.session_end_pb(status)
    tf.summary.experimental.write_raw_pb(content.SerializeToString(), step=0)
