"""The boot state on the ESP, written down a second time from its description: what GRUB will do, said without GRUB.

`state-1` and `state-2` are written by the system in turn, `tries` by GRUB. Every block is 1024 bytes, a GRUB environment block."""
import dataclasses
import re
import zlib

SIZE = 1024
HEADER = b"# GRUB Environment Block\n"
EMPTY = "0" * 64 + ":" + "0" * 10
FIELDS = re.compile(rb"^# GRUB Environment Block\nseq=(\d{10})\nactive=([ab])\npending=([ab-])\nnext=([a-z-]{8})\nreset=([a-z-]{4})\n"
                    rb"verity_a=([0-9a-f]{64}:\d{10})\nverity_b=([0-9a-f]{64}:\d{10})\n(?=crc=)")
END = re.compile(rb"crc=([0-9a-f]{8})\nend=(\d{10})\n(#*)$")
TRIES = re.compile(rb"^# GRUB Environment Block\nt1=(\d{10})\nt2=(\d{10})\nt3=(\d{10})\nnext=(\d{10})\n#*$")


@dataclasses.dataclass
class State:
    """`verity_*`: root hash and number of data blocks of a slot; zeros: the slot is empty."""
    seq: int = 1
    active: str = "a"
    pending: str = "-"
    next: str = "normal"
    reset: str = "none"
    verity_a: str = EMPTY
    verity_b: str = EMPTY

    def encode(self):
        text = (f"seq={self.seq:010}\nactive={self.active}\npending={self.pending}\nnext={self.next:-<8}\nreset={self.reset:-<4}\n"
                f"verity_a={self.verity_a}\nverity_b={self.verity_b}\n")
        block = HEADER + text.encode()
        block += f"crc={zlib.crc32(block):08x}\nend={self.seq:010}\n".encode()
        return block.ljust(SIZE, b"#")

    @classmethod
    def decode(cls, block):
        """None when the block is not a whole, valid one."""
        fields = FIELDS.match(block) if len(block) == SIZE else None
        end = END.match(block[fields.end():]) if fields else None
        if not end or int(end[1], 16) != zlib.crc32(block[:fields.end()]) or end[2] != fields[1]:
            return None
        values = [value.decode() for value in fields.groups()]
        return cls(int(values[0]), values[1], values[2], values[3].rstrip("-"), values[4].rstrip("-"), *values[5:])


def tries_of(block):
    """The three tries and the one-shot mode that was done, as numbers of states; None when unreadable."""
    match = TRIES.match(block) if len(block) == SIZE else None
    return [int(number) for number in match.groups()] if match else None


def encode_tries(numbers=(0, 0, 0, 0)):
    names = ("t1", "t2", "t3", "next")
    text = "".join(f"{name}={number:010}\n" for name, number in zip(names, numbers))
    return (HEADER + text.encode()).ljust(SIZE, b"#")


def states_on(disk):
    """The two copies, None for one that is not valid."""
    return [State.decode(disk.esp_read(f"/grub/state-{number}")) for number in (1, 2)]


def state_on(disk):
    """The one that counts; None when neither is valid."""
    return max((s for s in states_on(disk) if s), key=lambda s: s.seq, default=None)


def next_boot(disk):
    """(slot, pending) that GRUB boots next by itself, as the description says; slot None: the state is lost."""
    state, tries = state_on(disk), tries_of(disk.esp_read("/grub/tries"))
    if not state:
        return None, False
    if state.pending != "-" and tries and any(number != state.seq for number in tries[:3]):
        return state.pending, True
    return state.active, False


def write_state(disk, **changes):
    """A new state as the system writes one: the older or invalid copy is overwritten, the number goes up. Returns it."""
    copies = states_on(disk)
    current = state_on(disk) or State()
    older = min((1, 2), key=lambda n: copies[n - 1].seq if copies[n - 1] else -1)
    new = dataclasses.replace(current, seq=current.seq + 1, **changes)
    disk.esp_overwrite(f"/grub/state-{older}", new.encode())
    return new
