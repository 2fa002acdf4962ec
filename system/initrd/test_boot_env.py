#!/usr/bin/python3
"""Whether the console stays shut at a first start: has_password of overlay/usr/libexec/macula/boot-env over what a configuration may look like."""
import pathlib
import subprocess
import tempfile
import unittest

BOOT_ENV = pathlib.Path(__file__).resolve().parents[2] / "overlay" / "usr" / "libexec" / "macula" / "boot-env"
ASKS = r"""
. "$1"
password_file=$2/.password command_line=$2/cmdline given="$2/image.yaml $2/config.yaml $2/config.d/*.yaml"
has_password
"""

SPELLINGS = {
    "today": "maculaos:\n  password: x\n",
    "first historical name": "k3os:\n  password: x\n",
    "second historical name": "macula:\n  password: x\n",
    "at the top": "hostname: a\npassword: x\n",
    "deeper indented": "maculaos:\n      # a comment\n      timezone: UTC\n      password: x\n",
    "flow": "maculaos: {password: x}\n",
    "flow, second": "maculaos: {timezone: UTC,password: x}\n",
    "JSON": '{"maculaos":{"password":"x"}}',
    "JSON over lines": '{\n  "maculaos": {\n    "password" :\n "x"\n  }\n}\n',
    "quoted": "maculaos:\n  'password': x\n",
    "with a space": "maculaos:\n  password : x\n",
    "with a tag": "maculaos:\n  !!str password: x\n",
    "with an explicit key": "maculaos:\n  ? password\n  : x\n",
    "escaped": 'maculaos:\n  "pass\\x77ord": x\n',
    "escaped JSON": '{"maculaos":{"\\u0070assword":"x"}}',
    "over two lines": 'maculaos:\n  ? "pass\\\n    word"\n  : x\n',
    "carriage returns": "# mine\rmaculaos:\r  password: x\r",
    "lines of DOS": "maculaos:\r\n  ? password\r\n  : x\r\n",
    "no line end": "maculaos:\n  password: x",
}
NONE = {
    "nothing": "",
    "no password": "hostname: a\nmaculaos:\n  timezone: UTC\n  wifi: [{name: a, passphrase: b}]\n",
    "a comment": "#maculaos:\n  # password: x\nhostname: a\n",
    "a file with one": "maculaos:\n  auth: {ldap: {bind_password_file: /x}}\n",
    "a value": "maculaos:\n  environment: {MODE: password}\n",
}


class BootEnv(unittest.TestCase):
    def has_password(self, command_line="quiet", **files):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "config.d").mkdir()
            (folder / "cmdline").write_text(command_line + "\n")
            for name, content in files.items():
                path = folder / {"mark": ".password", "fragment": "config.d/50-more.yaml"}.get(name, f"{name}.yaml")
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
            done = subprocess.run(["sh", "-c", ASKS, "sh", BOOT_ENV, folder], capture_output=True, text=True, check=False)
            self.assertEqual(done.stderr, "")
            return done.returncode == 0

    def test_every_spelling_of_a_password_leaves_the_console_shut(self):
        for name, text in SPELLINGS.items():
            for encoding in ("utf-8", "utf-16"):
                with self.subTest(name, encoding=encoding):
                    self.assertTrue(self.has_password(config=text.encode(encoding)))

    def test_without_one_the_console_is_open(self):
        self.assertFalse(self.has_password())
        for name, text in NONE.items():
            with self.subTest(name):
                self.assertFalse(self.has_password(config=text))

    def test_it_may_stand_in_any_source(self):
        for source in ("image", "config", "fragment"):
            with self.subTest(source):
                self.assertTrue(self.has_password(**{source: SPELLINGS["today"]}))
        for line in ("maculaos.password=x", "quiet k3os.password=x ro", 'quiet "maculaos.password=x y"', 'maculaos."password"=x'):
            with self.subTest(line):
                self.assertTrue(self.has_password(command_line=line))
        self.assertFalse(self.has_password(command_line="maculaos.hostname=password"))

    def test_one_that_was_in_force_counts(self):
        self.assertTrue(self.has_password(mark=""))


NOTES = r"""
. "$1"
password_file=$2/.password configured_file=$2/.configured shadow_file=$2/shadow ready_file=$2/ready
note_password
"""
LOCKED, OPEN, HASH = "macula:!:1::::::\n", "macula::1::::::\n", "macula:$6$a$b:1::::::\n"
SHUT = "shut\n"  # as the installer writes it


class Mark(unittest.TestCase):
    """note_password: whether the next start leaves the console shut."""

    def mark_after(self, mark, shadow, ready=True, configured=False):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "shadow").write_text(shadow)
            for name, content in ((".password", mark), ("ready", "" if ready else None), (".configured", "" if configured else None)):
                if content is not None:
                    (folder / name).write_text(content)
            done = subprocess.run(["sh", "-c", NOTES, "sh", BOOT_ENV, folder], capture_output=True, text=True, check=False)
            self.assertEqual(done.stderr, "")
            return (folder / ".password").read_text() if (folder / ".password").exists() else None

    def test_it_follows_the_password_in_force(self):
        self.assertEqual(self.mark_after(None, HASH), "")
        self.assertEqual(self.mark_after("", HASH), "")
        for shadow in (LOCKED, OPEN):
            self.assertIsNone(self.mark_after("", shadow))
            self.assertEqual(self.mark_after("", shadow, ready=False), "")

    def test_the_installers_stays_until_the_node_is_configured(self):
        for shadow in (LOCKED, HASH):
            self.assertEqual(self.mark_after(SHUT, shadow), SHUT)
        self.assertIsNone(self.mark_after(SHUT, LOCKED, configured=True))


CONFIGURATION = BOOT_ENV.parents[4] / "system" / "initrd" / "lib" / "configuration.sh"
TAKES = r"""
PATH=$2/bin:$PATH log=/dev/null
tell() { :; }
eval "$(sed "s,/sysroot,$2,g" "$1")"
configuration_take
"""


class Taken(unittest.TestCase):
    """configuration_take: which node looks for a medium MACULA-CONF."""

    def looks(self, **files):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            node = folder / "var" / "lib" / "maculaos"
            node.mkdir(parents=True)
            (folder / "bin").mkdir()
            program = folder / "bin" / "macula-initrd"
            program.write_text(f"#!/bin/sh\n: >{folder}/asked\nexit 1\n")
            program.chmod(0o755)
            for name, content in files.items():
                (node / {"config": "config.yaml"}.get(name, f".{name}")).write_text(content)
            subprocess.run(["sh", "-c", TAKES, "sh", CONFIGURATION, folder], check=True)
            return (folder / "asked").exists()

    def test_only_one_that_has_no_configuration(self):
        self.assertTrue(self.looks())
        self.assertTrue(self.looks(password=""))
        self.assertFalse(self.looks(config="hostname: a\n"))
        self.assertFalse(self.looks(configured=""))
        self.assertFalse(self.looks(password=SHUT))


if __name__ == "__main__":
    unittest.main()
