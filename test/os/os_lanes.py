"""Runs tests side by side: so many machines at once as there are lanes, each with a lock of its own."""
import multiprocessing
import multiprocessing.connection
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
        end.send(tests[place]._testMethodName)
        said = len(report.lines)
        tests[place].run(report)
        end.send((report.lines[said:], report.wasSuccessful()))


def run(tests, lanes, report_of):
    """Each lane takes the next test when it is done with one. `report_of()` makes a unittest result that has `lines`.

    Returns (all lines, whether all passed). A lane that died has failed the test that it ran. What `tests` share is to be ready before: the lanes
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
    running = dict.fromkeys(ends)
    while running:
        for end in multiprocessing.connection.wait(list(running)):
            try:
                said = end.recv()
            except EOFError:
                name = running.pop(end)
                if name:
                    print(f"FAILED  {name}: its lane died", flush=True)
                    lines.append({"test": name, "outcome": "FAILED"})
                    well = False
                continue
            if isinstance(said, str):
                running[end] = said
                continue
            running[end] = None
            lines += said[0]
            well = well and said[1]
    return lines, well
