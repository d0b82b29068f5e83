import os
import signal

import pytest

from panns_tf.training.interrupt import deferred_interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request_and_handlers_return(number):
    before = signal.getsignal(number)
    with deferred_interrupt() as interrupt:
        assert interrupt.signal is None
        os.kill(os.getpid(), number)
        assert interrupt.signal == number
        assert signal.getsignal(number) == before, "a second one acts as usual"
    assert signal.getsignal(number) == before
