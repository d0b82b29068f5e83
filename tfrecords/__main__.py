"""``python -m tfrecords COMMAND``; see ``tfrecords.commands``."""

from tfrecords.commands import main, run

if __name__ == "__main__":
    run(main)
