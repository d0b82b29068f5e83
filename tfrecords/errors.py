"""The one exception for what a user can mend."""


class TFRecordsError(ValueError):
    """A wrong argument, a malformed input file or a damaged packed directory.

    The message is one line: what came, what was expected, how to mend it.
    """


class NothingPackedError(TFRecordsError):
    """Not one clip of those that were listed could be packed."""
