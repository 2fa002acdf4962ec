"""QEMU's control socket: commands, and the events that say how a machine ended."""
import json
import threading


class Qmp:
    """`events` holds everything QEMU told, in order; the last SHUTDOWN says why the machine ended."""

    def __init__(self, connection, seconds=30):
        self._socket = connection
        self._file = connection.makefile("rwb", buffering=0)
        self._changed = threading.Condition()
        self._answer, self._ended, self._seconds = None, False, seconds
        self.events = []
        self.greeting = json.loads(self._file.readline())
        threading.Thread(target=self._read, daemon=True).start()
        self.call("qmp_capabilities")

    def _read(self):
        while True:
            try:
                line = self._file.readline()
            except (OSError, ValueError):
                line = b""
            with self._changed:
                if not line:
                    self._ended = True
                    self._changed.notify_all()
                    return
                message = json.loads(line)
                if "event" in message:
                    self.events.append(message)
                else:
                    self._answer = message
                self._changed.notify_all()

    def call(self, command, **arguments):
        with self._changed:
            self._answer = None
            self._file.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            self._changed.wait_for(lambda: self._answer or self._ended, self._seconds)
            if not self._answer:
                raise AssertionError(f"QEMU did not answer {command}")
            if "error" in self._answer:
                raise AssertionError(f"QEMU refused {command}: {self._answer['error']['desc']}")
            return self._answer["return"]

    def seen(self, name):
        """The data of the last event of that name; None when there was none."""
        with self._changed:
            return next((e.get("data", {}) for e in reversed(self.events) if e["event"] == name), None)

    def close(self):
        try:
            self._socket.close()
        except OSError:
            pass
