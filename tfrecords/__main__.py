"""`python -m tfrecords COMMAND`; see `tfrecords.cli`."""

import sys

from tfrecords.cli import main

if __name__ == "__main__":
    sys.exit(main())
