"""Training steps on one GPU: this project under Keras' JAX backend, and the PyTorch reference.

    KERAS_BACKEND=jax python benchmarks/gpu_step.py --reference DIR --torchlibrosa DIR

DIRs are clones of https://github.com/qiuqiangkong/audioset_tagging_cnn and
https://github.com/qiuqiangkong/torchlibrosa. Needs JAX and PyTorch for the GPU, and no TensorFlow.
Both sides get the same int16 clips, which lie on the GPU already: 2N clips, mixed to N. Turns
alternate; the reference runs under autocast as it is ("eager") and with what PyTorch has to make it
fast ("tuned": torch.compile, channels_last, fused Adam, cuDNN's search). First the losses of three
float32 steps from the same weights are compared, which should agree to 1e-3. Ends with Markdown
tables of what was measured. Takes --minutes, 6 unless told otherwise, and what is then under way:
what there was no time for is named and left out.
"""

import argparse
import copy
import dataclasses
import functools
import gc
import importlib.util
import os
import re
import statistics
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from unittest import mock

os.environ.setdefault("KERAS_BACKEND", "jax")
# JAX takes three quarters of the GPU at its start otherwise, and PyTorch has to live beside it.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
import jax
import jax.numpy as jnp
import keras
import numpy as np
import torch
from common import CLASSES, print_table, reference_flags, reference_module

import panns_tf
from panns_tf.complexity import complexity
from panns_tf.layers.mixup import MixupLambda
from panns_tf.models.registry import find
from panns_tf.training.losses import binary_cross_entropy

FRONT, FORWARD, BACKWARD, STEP = "front end", "forward", "forward and backward", "whole step"
OURS, EAGER, TUNED = "panns_tf, JAX", "reference, eager", "reference, tuned"
BFLOAT16 = "mixed_bfloat16"
log = functools.partial(print, flush=True)


@dataclasses.dataclass
class Job:
    """Work to be timed: `run` does it so many times, waits, and returns a loss or some number."""

    run: Callable[[int], float]
    memory: Callable[[], int]  # bytes at most, once it has run; 0 if unknown
    steps: int = 1  # training steps in one time


def batch_of(clips: int, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Waveforms int16 (2N, samples), targets (2N, classes), mixup weights (2N,)."""
    rng = np.random.default_rng(0)
    waveform = rng.integers(-8192, 8192, (2 * clips, samples), dtype=np.int16)
    target = np.zeros((2 * clips, CLASSES), "float32")
    np.put_along_axis(target, rng.integers(CLASSES, size=(2 * clips, 2)), 1, axis=1)
    return waveform, target, MixupLambda().draw(clips)


def mixed(target, weight):
    """Targets of pairs, (2N, classes) to (N, classes), in either framework."""
    return target[0::2] * weight[0::2, None] + target[1::2] * weight[1::2, None]


def adam(weight, gradient, m, v, top, step, rate):
    """What `panns_tf.training.optimizer.Adam`, amsgrad, makes of a weight and its moments."""
    scale = jnp.sqrt(1 - 0.999**step)
    m = m + (gradient - m) * 0.1
    v = v + (gradient * gradient - v) * 0.001
    top = jnp.maximum(top, v)
    change = m * (rate * scale / (1 - 0.9**step)) / (jnp.sqrt(top) + 1e-8 * scale)
    return weight - change, m, v, top


class Ours:
    """A network of this project and its step as a pure function."""

    def __init__(self, network, rate: float = 1e-3, steps: int = 1):
        self.network, self.rate, self.steps = network, rate, steps
        self.model = panns_tf.training_model(network)
        # The fixed ones are running statistics and the random states of dropout and SpecAugment.
        self.trainable = network.trainable_variables
        self.fixed = network.non_trainable_variables

    def state(self) -> tuple:
        """Weights, fixed variables, moments and step: copies, since a step overwrites its own."""
        trainable, fixed = (
            [jnp.array(variable.value, copy=True) for variable in variables]
            for variables in (self.trainable, self.fixed)
        )
        moments = [[jnp.zeros_like(w) for w in trainable] for _ in range(3)]
        return trainable, fixed, moments, jnp.zeros((), "float32")

    def loss(self, trainable: list, fixed: list, batch: tuple) -> tuple:
        """The loss, and the fixed variables after it."""
        waveform, target, weight = batch
        variables = zip([*self.trainable, *self.fixed], [*trainable, *fixed], strict=True)
        inputs = {"waveform": waveform.astype("float32") / 32767, "mixup_lambda": weight}
        with keras.StatelessScope(list(variables)) as scope:
            outputs = self.model.outputs_of(inputs, training=True)
            loss = binary_cross_entropy(mixed(target, weight), outputs)
        return loss, [scope.get_current_value(variable) for variable in self.fixed]

    def part(self, part: str, batch: tuple, state: tuple) -> tuple:
        """Does a part of a step; returns the state after it, and what it computed."""
        trainable, fixed, moments, step = state
        if part == FRONT:
            return state, self.network.get_layer("log_mel")(batch[0].astype("float32") / 32767)
        if part == FORWARD:
            loss, fixed = self.loss(trainable, fixed, batch)
            return (trainable, fixed, moments, step), loss
        gradient = jax.value_and_grad(self.loss, has_aux=True)
        (loss, fixed), gradients = gradient(trainable, fixed, batch)
        if part == BACKWARD:
            return (trainable, fixed, moments, step), (loss, gradients)
        rows = zip(trainable, gradients, *moments, strict=True)
        moved = [adam(*row, step + 1, self.rate) for row in rows]
        trainable, *moments = map(list, zip(*moved, strict=True))
        return (trainable, fixed, moments, step + 1), loss

    def job(self, part: str, batch: tuple) -> Job:
        """Compiles a part of the step for a batch."""
        steps = self.steps if part == STEP else 1

        def function(state, batch):
            if steps == 1:
                return self.part(part, batch, state)
            one = functools.partial(self.part, part, batch)
            state, losses = jax.lax.scan(lambda carry, _: one(carry), state, length=steps)
            return state, losses[-1]

        held, batch = [self.state()], jax.device_put(batch)
        compiled = jax.jit(function, donate_argnums=0).lower(held[0], batch).compile()

        def run(times: int) -> float:
            for _ in range(times):
                held[0], output = compiled(held[0], batch)
            jax.block_until_ready((held[0], output))
            return float(jax.tree.leaves(output)[0].ravel()[0])

        # JAX cannot forget a peak; what the compiler has planned is of this executable alone.
        size = compiled.memory_analysis()
        planned = size.argument_size_in_bytes + size.output_size_in_bytes
        planned += size.temp_size_in_bytes - size.alias_size_in_bytes
        return Job(run, lambda: planned, steps)


class Theirs:
    """A network of the reference and its step, on the GPU if there is one."""

    def __init__(self, module: torch.nn.Module, precision: str, tuned=False, rate: float = 1e-3):
        self.on_gpu, self.half, self.tuned = torch.cuda.is_available(), precision == BFLOAT16, tuned
        self.device = "cuda" if self.on_gpu else "cpu"
        self.module = self.call = module.to(self.device).train()
        fused = True if tuned and self.on_gpu else None
        parameters = module.parameters()
        self.optimizer = torch.optim.Adam(parameters, lr=rate, amsgrad=True, fused=fused)
        if tuned:
            module.to(memory_format=torch.channels_last)
            if hasattr(module, "spec_augmenter"):  # loops over clips with numbers that it draws
                augment = module.spec_augmenter
                augment.forward = torch.compiler.disable(augment.forward)
            self.call = torch.compile(module, dynamic=False)

    def part(self, part: str, waveform, target, weight):
        """Does a part of a step; returns what it computed."""
        half = torch.autocast(self.device, torch.bfloat16, enabled=self.half)
        with torch.set_grad_enabled(part in (BACKWARD, STEP)):
            with half:
                sound = waveform.float() / 32767
                if part == FRONT:
                    return self.module.logmel_extractor(self.module.spectrogram_extractor(sound))
                probability = self.call(sound, weight)["clipwise_output"].float()
            # Autocast refuses this loss, so it is outside.
            loss = torch.nn.functional.binary_cross_entropy(probability, mixed(target, weight))
        if part in (BACKWARD, STEP):
            loss.backward()
        if part == STEP:
            self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()

    def job(self, part: str, batch: tuple) -> Job:
        """Prepares a part of the step for a batch."""
        batch = [torch.from_numpy(array).to(self.device) for array in batch]
        above = [0]

        def run(times: int) -> float:
            torch.backends.cudnn.benchmark = self.tuned
            if self.on_gpu:
                torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated()
            for _ in range(times):
                output = self.part(part, *batch)
            value = output.flatten()[0].item()
            if self.on_gpu:
                torch.cuda.synchronize()
                above[0] = torch.cuda.max_memory_allocated() - before
            return value

        def memory() -> int:  # the other network of the reference is on the GPU, too, and not ours
            moments = [t for state in self.optimizer.state.values() for t in state.values()]
            own = [*self.module.parameters(), *self.module.buffers(), *batch, *moments]
            return above[0] + sum(t.nbytes for t in own if torch.is_tensor(t)) if self.on_gpu else 0

        return Job(run, memory)


def import_reference(reference: Path, torchlibrosa: Path | None) -> types.ModuleType:
    """Imports the reference's networks; stands in for librosa where it is missing."""
    if torchlibrosa:
        sys.path.insert(0, str(torchlibrosa.resolve()))
    if importlib.util.find_spec("librosa") is None:
        # It makes constants, which are replaced by those of the state dict.
        librosa = sys.modules["librosa"] = types.ModuleType("librosa")
        librosa.filters = types.SimpleNamespace(
            get_window=lambda window, size, fftbins: np.hanning(size + 1)[:-1],
            mel=lambda *, n_fft, n_mels, **_: np.zeros((n_mels, n_fft // 2 + 1)),
        )
        librosa.util = types.SimpleNamespace(pad_center=lambda data, size: data)
    return reference_module(reference, "models")


def pair_of(models, name: str, precision: str, **overrides) -> tuple:
    """A network of ours and the reference's, of the same random weights."""
    keras.config.set_dtype_policy(precision)
    network = panns_tf.create_model(name, CLASSES, **overrides)
    keys = ("sample_rate", "window_size", "hop_size", "mel_bins", "fmin", "fmax")
    settings = {key: getattr(network.arch.frontend, key) for key in keys}
    reference = getattr(models, network.arch.name)(**settings, classes_num=CLASSES)
    state = {k: torch.from_numpy(v) for k, v in panns_tf.to_torch_state(network).items()}
    reference.load_state_dict(state, strict=True)
    return network, reference


def allow_tf32(allowed: bool) -> None:
    """Whether PyTorch computes float32 products in TF32, as JAX does unless told otherwise."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def compare_losses(models, name: str, seconds: float) -> None:
    """Prints the losses of three float32 steps, without what is random, on both sides."""
    network, reference = pair_of(models, name, "float32", dropout=False, spec_augment=False)
    reference.spec_augmenter = torch.nn.Identity()
    batch = batch_of(2, round(min(seconds, 2) * network.arch.frontend.sample_rate))
    allow_tf32(False)
    plain = mock.patch("torch.nn.functional.dropout", lambda x, *_, **__: x)
    # A gentle rate: Adam's first steps go by the sign of gradients, which rounding decides.
    with jax.default_matmul_precision("highest"), plain:
        sides = Ours(network, 1e-5), Theirs(reference, "float32", rate=1e-5)
        jobs = [side.job(STEP, batch) for side in sides]
        ours, theirs = ([job.run(1) for _ in range(3)] for job in jobs)
    distance = max(abs(a / b - 1) for a, b in zip(ours, theirs, strict=True))
    shown = [" ".join(f"{loss:.6f}" for loss in losses) for losses in (ours, theirs)]
    verdict = "agree" if distance < 1e-3 else "DO NOT AGREE"
    log(f"{name}: losses {shown[0]}, reference {shown[1]}: {distance:.1e}, they {verdict}")


def attempt(label: str, function: Callable, failed: dict[str, str]):
    """Calls; where that fails says and notes why, since the rest can still be measured."""
    try:
        return function()
    except Exception as error:  # compilers and drivers raise whatever they meet
        message = " ".join(str(error).split())
        full = isinstance(error, torch.OutOfMemoryError) or re.search(
            "resource_exhausted|out of memory", message, re.IGNORECASE
        )
        failed[label] = "does not fit" if full else "failed"
        log(f"    {label}: {failed[label]}: {type(error).__name__}: {message[:300]}")
    finally:
        if label in failed:
            gc.collect()
        torch.cuda.empty_cache()  # for the other side


def timed(job: Job, times: int) -> float:
    """Seconds for a step."""
    began = time.perf_counter()
    job.run(times)
    return (time.perf_counter() - began) / times / job.steps


def in_turns(sides: dict, part: str, batch: tuple, options, failed: dict[str, str]) -> dict:
    """Times a part of the step; returns what worked: job and seconds a step, round by round."""
    found = {}

    def start(label: str) -> None:
        began = time.perf_counter()
        job = sides[label].job(part, batch)
        value = job.run(2)
        finite = "finite" if np.isfinite(value) else "NOT FINITE"
        log(f"    {label}, {part}: {time.perf_counter() - began:.1f} s to start, {finite}")
        found[label] = job, []

    def turn(label: str) -> None:
        job, seconds = found[label]
        once = timed(job, 1)  # not counted: memory comes back, the clocks go up
        times = np.clip(options.turn / (once * job.steps), 2, 200)
        seconds.append(timed(job, int(times)))

    for label in sides:
        attempt(label, functools.partial(start, label), failed)
    for _ in range(options.rounds):
        for label in [x for x in found if x not in failed]:
            attempt(label, functools.partial(turn, label), failed)
    return {label: pair for label, pair in found.items() if label not in failed}


def product_peaks(size: int, products: int = 20) -> dict[str, float]:
    """FLOP/s of bfloat16 matrix products, the best of three chains in each framework."""
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal((size, size), "float32") for _ in range(2))
    w /= size**0.5  # or the values would grow from product to product
    ours = [jnp.asarray(a, "bfloat16") for a in (x, w)]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    theirs = [torch.from_numpy(a).to(device, torch.bfloat16) for a in (x, w)]
    chain = jax.jit(lambda x, w: jax.lax.fori_loop(0, products, lambda _, y: y @ w, x)[0, 0])

    def torch_chain(x, w):
        for _ in range(products):
            x = x @ w
        return x[0, 0].item()

    runs = {"JAX": lambda _: float(chain(*ours)), "PyTorch": lambda _: torch_chain(*theirs)}
    jobs = {label: Job(run, lambda: 0) for label, run in runs.items()}
    # The first of four compiles and warms up.
    return {x: 2 * products * size**3 / min(timed(j, 1) for _ in range(4)) for x, j in jobs.items()}


def operations(name: str, seconds: float) -> float:
    """FLOP of a mixed clip's step: 2 for each multiply-add, 3 passes, without the front end."""
    row = find(name)
    count = complexity(name, seconds, CLASSES).multiply_adds
    if "log_mel" in row.inputs:  # counted as the reference's Fourier transform by convolution
        size = row.frontend.window_size
        frames = 1 + round(seconds * row.frontend.sample_rate) // row.frontend.hop_size
        count -= 2 * frames * (size // 2 + 1) * size
    return 6.0 * count


def speed_rows(clips: int, work: float, found: dict, failed: dict, peak: float) -> list:
    """A row for each side: clips a second, milliseconds, times eager, GB, share of the peak."""
    rows = [(label, why, *[""] * 4) for label, why in failed.items()]
    base = found.get(EAGER, (None, []))[1]
    for label, (job, seconds) in found.items():
        rates = sorted(clips / s for s in seconds)
        middle = statistics.median(seconds)
        speed = f"{clips / middle:,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f})"
        times = [b / a for a, b in zip(seconds, base, strict=False)]
        ratio = f"{statistics.median(times):.2f}" if times and label != EAGER else ""
        memory = f"{job.memory() / 1e9:.1f}" if job.memory() else "?"
        share = f"{work * clips / middle / peak:.1%}"
        rows.append((label, speed, f"{1e3 * middle:.2f}", ratio, memory, share))
    return rows


def measure(models, name: str, precision: str, deadline: float, tables, peak, options) -> None:
    """Times a network at every batch size for which there is time, its parts at the first."""
    network, reference = pair_of(models, name, precision)
    sides = {OURS: Ours(network, steps=options.steps_per_call)}
    tuned = None if options.tuned == "none" else copy.deepcopy(reference)
    sides[EAGER] = Theirs(reference, precision)
    if tuned is not None:
        sides[TUNED] = Theirs(tuned, precision, tuned=True)
    work = operations(name, options.seconds)
    samples = options.seconds * find(name).frontend.sample_rate
    for number, clips in enumerate(options.batch_sizes):
        if number and time.monotonic() > deadline:
            log(f"  {name} {precision} {clips}: left out, the time is up")
            continue
        if number and options.tuned == "first":
            sides.pop(TUNED, None)
        key, batch, failed = (name, precision, str(clips)), batch_of(clips, round(samples)), {}
        log(f"  {', '.join(key)} clips")
        found = in_turns(sides, STEP, batch, options, failed)
        rows = [(*key, *row) for row in speed_rows(clips, work, found, failed, peak)]
        tables[0].extend(rows)
        log("\n".join(f"    {' | '.join(row)}" for row in rows))
        parts = [FRONT] * ("log_mel" in find(name).inputs) + [FORWARD, BACKWARD]
        for part in parts if not number and options.parts else ():
            if time.monotonic() < deadline:
                both = {label: sides[label] for label in (OURS, EAGER)}
                found = in_turns(both, part, batch, options, {})
                middle = {x: f"{1e3 * statistics.median(s):.2f}" for x, (_, s) in found.items()}
                tables[1].append((*key, part, *(middle.get(label, "?") for label in both)))
        del found  # and with it the memory of its jobs
        gc.collect()


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    reference_flags(parser)
    add("--networks", default="Cnn14,Wavegram_Logmel_Cnn14,MobileNetV1")
    add("--batch-sizes", default="32,64,128,256", help="clips after mixing")
    add("--precision", default=BFLOAT16, help=f"{BFLOAT16}, float32")
    add("--seconds", type=float, default=10.0, help="length of a clip")
    add("--rounds", type=int, default=5)
    add("--turn", type=float, default=0.5, help="seconds of a turn, two steps at least")
    add("--minutes", type=float, default=6.0, help="after which nothing more is begun")
    add("--steps-per-call", type=int, default=1, help="of JAX; several are a lax.scan")
    add("--tuned", choices=("first", "all", "none"), default="first", help="at which batch sizes")
    add("--no-parts", dest="parts", action="store_false", help="time whole steps alone")
    add("--no-losses", dest="losses", action="store_false", help="do not compare losses")
    add("--allow-cpu", action="store_true", help="run without a GPU, to try this file")
    options = parser.parse_args()
    for name in ("networks", "batch_sizes", "precision"):
        setattr(options, name, getattr(options, name).split(","))
    options.batch_sizes = [int(size) for size in options.batch_sizes]
    return options


def main() -> None:
    """Measures and prints."""
    began, options = time.monotonic(), parse()
    if keras.backend.backend() != "jax":
        raise SystemExit(f"set KERAS_BACKEND=jax; it is {keras.backend.backend()}")
    seen = {"JAX": jax.default_backend() == "gpu", "PyTorch": torch.cuda.is_available()}
    on_gpu = all(seen.values())
    if not on_gpu and not options.allow_cpu:
        raise SystemExit(f"no GPU that both see ({seen}); --allow-cpu runs without one")
    device = torch.cuda.get_device_name() if on_gpu else "a CPU, which says nothing of a GPU"
    log(f"jax {jax.__version__}, keras {keras.__version__}, torch {torch.__version__}, {device}")
    models = import_reference(options.reference, options.torchlibrosa)
    peaks = product_peaks(8192 if on_gpu else 256)
    log(*(f"bfloat16 products in {x}: {peak / 1e12:.3g} TFLOP/s." for x, peak in peaks.items()))
    peak, tables, failed = max(peaks.values()), ([], []), {}
    for name in options.networks if options.losses else ():
        compare = functools.partial(compare_losses, models, name, options.seconds)
        attempt(name, compare, failed)
    allow_tf32(True)
    pairs = [(name, precision) for name in options.networks for precision in options.precision]
    for number, pair in enumerate(pairs):
        now = time.monotonic()
        # Each gets an equal share of the time that is left.
        deadline = now + (began + 60 * options.minutes - now) / (len(pairs) - number)
        work = functools.partial(measure, models, *pair, deadline, tables, peak, options)
        attempt(" ".join(pair), work, failed)
        log(f"  {time.monotonic() - began:.0f} s so far")
    key = ("network", "precision", "clips")
    log()
    print_table((*key, "side", "clips/s", "ms a step", "x eager", "GB", "of peak"), tables[0])
    print_table((*key, "part", f"{OURS}, ms", f"{EAGER}, ms"), tables[1])
    log(
        f"Clips are mixed ones of {options.seconds:g} s: twice as many enter. Peak: "
        f"{peak / 1e12:.3g} TFLOP/s; 6 FLOP for each multiply-add of a clip, without the log-mel, "
        "and what is done before mixing, such as a wavegram, counted for one clip of the pair. GB: "
        "of JAX what its compiler plans, of PyTorch the most that was allocated."
    )


if __name__ == "__main__":
    main()
