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


if __name__ == "__main__":
    unittest.main()
