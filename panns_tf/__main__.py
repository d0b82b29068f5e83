"""`python -m panns_tf COMMAND`; see `panns_tf.cli`."""

from panns_tf.cli import main, run

if __name__ == "__main__":
    run(main)
