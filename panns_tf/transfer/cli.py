"""The command `finetune`."""

import argparse

from panns_tf.config import NetworkOverrides
from panns_tf.inference.cli import quiet_tensorflow
from panns_tf.transfer.settings import FinetuneConfig, Options, finetune_config, finetune_options
from panns_tf.transfer.tasks import find_task
from tfrecords.files import check_output_folder
from tfrecords.flags import add_flags, flag_settings

_FINETUNE = """\
Train on a new task from a pretrained network, or from nothing, and report how well it went.

--data is a data set of your own, a folder with one folder for each class, a CSV of files and
labels, or a folder of files whose names --label-pattern reads; or, with --task, one of the paper's
six data sets. The same command continues after a kill with the trainings that are missing.
"""
_FINETUNE_EXAMPLES = """\
examples:
  panns-tf finetune --data sounds/ --output runs/mine
  panns-tf finetune --data clips.csv --audio sounds/ --strategy linear_probe
  panns-tf finetune --data flat/ --label-pattern '(?P<label>[a-z]+)_\\d+'
  panns-tf finetune --task esc50 --data ESC-50-master --strategy freeze_l1
  panns-tf finetune --task gtzan --data GTZAN --weights Cnn14_mAP=0.431.pth
  panns-tf finetune --task esc10 --data ESC-10 --arch MobileNetV1 --strategy scratch
  panns-tf finetune --task esc50 --data ESC-50-master --clips-per-class 1,2,5,10,20,all \\
    --seeds 5 --strategy linear_probe --output runs/esc50
"""


def add_finetune_flags(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = _FINETUNE, _FINETUNE_EXAMPLES
    for settings in (Options, FinetuneConfig, NetworkOverrides):
        add_flags(parser, settings)


def run_finetune(args: argparse.Namespace) -> None:
    # What needs no TensorFlow is checked before it is imported.
    options, config = finetune_options(args), finetune_config(args)
    overrides = NetworkOverrides(**flag_settings(args, NetworkOverrides)).overrides
    for flag, folder in (("--cache", options.cache), ("--output", options.output)):
        if folder is not None:
            check_output_folder(folder, flag)
    from panns_tf.transfer.readers import read_dataset, read_task

    task = None if options.task is None else find_task(options.task)
    dataset = read_dataset(options) if task is None else read_task(options.data, task)
    if dataset.multi_label and options.metric not in (None, "mAP"):
        raise ValueError(f"--metric {options.metric} needs clips of one label each; take mAP")
    quiet_tensorflow()
    from panns_tf.transfer.runner import finetune

    finetune(task, dataset, config, options, overrides)
