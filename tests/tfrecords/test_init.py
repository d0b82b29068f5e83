"""The names that the package offers."""

import subprocess
import sys

# In a process of its own: what this one has imported before decides what it would see.
CODE = """
import tfrecords
from tfrecords import pack_audioset
for name in 2 * tfrecords.__all__:
    value = getattr(tfrecords, name)
    if not callable(value) or value.__name__ != name:
        raise SystemExit(f"{name} is {value!r}")
if not callable(pack_audioset) or not set(tfrecords.__all__) <= set(dir(tfrecords)):
    raise SystemExit("names are lost")
try:
    tfrecords.nothing
except AttributeError as error:
    raise SystemExit(0 if "'nothing'" in str(error) else str(error))
raise SystemExit("no error")
"""


def test_every_name_is_the_thing_itself_each_time_it_is_asked_for():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
