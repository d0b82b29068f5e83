"""Devices, machines and precision of a run, and what its processes agree on."""

import contextlib
import dataclasses
import itertools
import json
import os
import zlib
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from panns_tf.models.network import dtype_policy
from tfrecords.progress import logger


@dataclasses.dataclass(frozen=True)
class Distribution:
    """The devices of a run, in one or several processes; ``worker`` 0 alone writes."""

    strategy: tf.distribute.Strategy
    workers: int = 1
    worker: int = 0

    @property
    def replicas(self) -> int:
        """Devices of all workers together."""
        return self.strategy.num_replicas_in_sync

    @property
    def local_replicas(self) -> int:
        """Devices of this worker."""
        return self.replicas // self.workers

    @property
    def is_chief(self) -> bool:
        return self.worker == 0

    def describe(self) -> str:
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        devices = kind if self.local_replicas == 1 else f"{self.local_replicas} {kind} devices"
        return devices + (f", worker {self.worker} of {self.workers}" if self.workers > 1 else "")

    def run(self, function: Callable, values: list) -> list:
        """Calls a compiled function of one tensor for tensors, one at most on each local device."""
        if self.replicas == 1:
            return [function(value) for value in values]
        each = self.strategy.experimental_distribute_values_from_function(
            # Devices without a value of their own repeat the last one.
            lambda context: values[
                min(context.replica_id_in_sync_group % self.local_replicas, len(values) - 1)
            ]
        )
        results = self.strategy.run(function, args=(each,))
        return list(self.strategy.experimental_local_results(results))[: len(values)]

    def check_same(self, settings: dict) -> None:
        """Checks that workers have the same settings; each must call this."""
        marks = [zlib.crc32(repr(value).encode()) >> 1 for value in settings.values()]
        rows = self.gather(np.array([marks], np.int32))  # (workers, settings)
        differ = (rows != rows[:1]).any(axis=0)
        mine = [f"{name}={value!r}" for name, value in itertools.compress(settings.items(), differ)]
        if mine:
            raise ValueError(
                f"the workers of this job were given different settings; worker {self.worker} has "
                f"{', '.join(mine)}; start all of them with the same command"
            )

    def gather(self, array: np.ndarray) -> np.ndarray:
        """Joins the rows of all workers, in their order; each must call this."""
        if self.workers == 1:
            return array
        rows = self.strategy.experimental_distribute_values_from_function(
            # Rows enter once, through the first device of each worker.
            lambda context: tf.constant(
                array if context.replica_id_in_sync_group % self.local_replicas == 0 else array[:0]
            )
        )
        joined = _all_rows(self.strategy, rows)
        return self.strategy.experimental_local_results(joined)[0].numpy()


@tf.function(autograph=False)
def _all_rows(strategy: tf.distribute.Strategy, rows):
    def each(rows):
        return tf.distribute.get_replica_context().all_gather(tf.identity(rows), axis=0)

    return strategy.run(each, args=(rows,))


@contextlib.contextmanager
def numerics(precision: str, seed: int | None = None) -> Iterator[None]:
    """Sets the precision of networks made and trained within, and puts the earlier one back; sets
    the ``seed`` of Python, NumPy and Keras, too, unless it is None.
    """
    tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")
    if seed is not None:
        keras.utils.set_random_seed(seed)
    try:
        with dtype_policy("float32" if precision == "tf32" else precision):
            yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(tf32)


def distribute(devices: int | None = None) -> Distribution:
    """The devices of this machine, and of the others that ``TF_CONFIG`` names; to be called before
    TensorFlow runs anything. ``devices`` counts this machine's GPUs, None for all; without any GPU
    the CPU is divided into so many, for tests.
    """
    workers, worker = read_cluster(os.environ.get("TF_CONFIG"))
    gpus = tf.config.list_physical_devices("GPU")
    if devices is not None and not 1 <= devices <= (len(gpus) or devices):
        raise ValueError(f"--devices {devices}: this machine has {len(gpus)} GPUs")
    count = len(gpus[:devices]) or devices or 1
    if gpus:
        tf.config.set_visible_devices(gpus[:devices], "GPU")
        for gpu in gpus[:devices]:
            tf.config.experimental.set_memory_growth(gpu, True)
    elif count > 1:
        (cpu,) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration()] * count
        tf.config.set_logical_device_configuration(cpu, parts)
    if workers > 1:
        logger.info(f"Worker {worker}: waiting for all {workers} workers of the job.")
        return Distribution(tf.distribute.MultiWorkerMirroredStrategy(), workers, worker)
    if count > 1:
        names = tf.config.list_logical_devices("GPU" if gpus else "CPU")
        return Distribution(tf.distribute.MirroredStrategy([device.name for device in names]))
    return Distribution(tf.distribute.get_strategy())


def read_cluster(text: str | None) -> tuple[int, int]:
    """The number of workers and which of them this is, from ``TF_CONFIG``'s text."""
    if not text or not text.strip():
        return 1, 0
    example = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    try:
        content = json.loads(text)
        addresses, task = content["cluster"]["worker"], content["task"]
        index, kinds = int(task["index"]), {*content["cluster"], task["type"]}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"TF_CONFIG cannot be read ({error!r}); expected {example}") from error
    if kinds != {"worker"} or not isinstance(addresses, list) or not 0 <= index < len(addresses):
        raise ValueError(f"TF_CONFIG must list workers alone; expected {example}; received {text}")
    return len(addresses), index
