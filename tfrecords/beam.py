"""Packs shards on Apache Beam: the same work items, spread over the machines of a runner.

The audio files and the output folder must be reachable under the same paths from every machine
(a network file system, or a mounted bucket).
"""

import shlex
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from tfrecords.pack import Runner, keep_outcomes, load_outcomes
from tfrecords.pool import pack_shards
from tfrecords.shard import Outcomes, ShardTask
from tfrecords.storage import TFRecordsError


def beam_runner(name: str, options: str = "") -> Runner:
    """A runner for `pack_clips`: DirectRunner, DataflowRunner, FlinkRunner, SparkRunner ...

    Its `options` are as on a command line: `--project=p --region=r`.
    """
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise TFRecordsError(
            "--runner needs Apache Beam: pip install apache-beam; or leave it out to pack on this "
            "machine"
        ) from None

    def run(
        tasks: Sequence[ShardTask], *, workers: int, timeout: float, done: Callable[[int], None]
    ) -> Iterator[tuple[ShardTask, Outcomes]]:
        pipeline_options = PipelineOptions(shlex.split(options), runner=name)
        with apache_beam.Pipeline(options=pipeline_options) as pipeline:
            created = pipeline | apache_beam.Create(tasks)
            # Else the runner may take all of them for one piece of work.
            pack = apache_beam.Map(partial(_pack, timeout=timeout))
            _ = created | apache_beam.Reshuffle() | pack
        for task in tasks:
            outcomes = load_outcomes(task)
            if not outcomes:
                raise OSError(f"the runner {name} did not write {task.path}")
            done(len(outcomes))
            yield task, outcomes

    return run


def _pack(task: ShardTask, timeout: float) -> None:
    """Packs a shard and leaves its result beside it, where the next attempt finds it too."""
    if not load_outcomes(task):
        for packed in pack_shards([task], workers=1, timeout=timeout, done=lambda change: None):
            keep_outcomes(*packed)
