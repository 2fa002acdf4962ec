"""Runs tests side by side: so many machines at once as there are lanes, each with a lock of its own."""
import multiprocessing
import os
import signal
import sys

from os_machine import lock_file


def _lane(number, tests, taken, parent, report, end):
    # Not the parent's handler, with which a killed lane would end as if it were the whole run.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if number:  # the first shares the usual lock, so that it and a run elsewhere take turns
        os.environ["MACULA_QEMU_LOCK"] = str(lock_file().with_suffix(f".lane{number}"))
    while os.getppid() == parent:
        with taken.get_lock():
            place = taken.value
            taken.value += 1
        if place >= len(tests):
            break
        tests[place].run(report)
    end.send((report.lines, report.wasSuccessful()))


def run(tests, lanes, report_of):
    """Each lane takes the next test when it is done with one. `report_of()` makes a unittest result that has `lines`.

    Returns (all lines, whether all passed). A lane that died counts as a failure. What `tests` share is to be ready before: the lanes
    are forked, and what one builds the others do not see."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the lanes, daemons, end with us
    here = multiprocessing.get_context("fork")
    taken = here.Value("i", 0)
    ends = []
    for number in range(min(lanes, len(tests))):
        receive, send = here.Pipe(duplex=False)
        lane = here.Process(target=_lane, args=(number, tests, taken, os.getpid(), report_of(), send), daemon=True)
        lane.start()
        send.close()
        ends.append(receive)
    lines, well = [], True
    for receive in ends:
        try:
            more, passed = receive.recv()
        except EOFError:
            more, passed = [], False
            print("a lane died with its test", file=sys.stderr, flush=True)
        lines += more
        well = well and passed
    return lines, well
