#!/usr/bin/env python3
"""The README's tour, executed: every line of its console blocks, and where the README shows output, that output."""
import os
import re
import subprocess
import unittest

from node_harness import BIN, SOURCE, Node


def steps():
    """(command, the lines that must appear) of every console block."""
    for block in re.findall(r"```console\n(.*?)```", (SOURCE / "README.md").read_text(), re.S):
        for piece in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, expected = piece.partition("\n")
            yield command, expected.splitlines()


class Tour(unittest.TestCase):
    def test_every_command_of_the_tour_does_what_the_readme_shows(self):
        with Node() as node:
            env = {**node.env, "PATH": f"{BIN}:{os.environ['PATH']}"}
            count = 0
            for command, expected in steps():
                with self.subTest(command):
                    done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, timeout=60, check=False)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                    for line in expected:
                        self.assertIn(line, done.stdout)
                count += 1
            self.assertGreater(count, 12)


if __name__ == "__main__":
    unittest.main(verbosity=2)
