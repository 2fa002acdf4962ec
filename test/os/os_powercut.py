"""Power cuts, replayed: one run is recorded write by write; then the disk is made as it was at any moment of it.

A disk keeps what was flushed. Of what was written after the last flush it keeps what it likes, in any order: with a generator each
of those writes survives or not by chance, which a machine that is merely killed never shows. A cut may also fall inside of a write:
then its first sectors are there and the rest is not. The record is QEMU's `blklogwrites`, the format of dm-log-writes."""
import dataclasses
import pathlib
import struct

from os_disk import Disk

MAGIC, UNIT = 0x6A736677736872, 512
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


@dataclasses.dataclass(frozen=True)
class Write:
    offset: int  # on the disk, bytes
    length: int
    place: int   # of the data in the record
    flags: int


class Recording:
    """What a machine wrote to one disk in one boot."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.writes = list(self._entries())

    def _entries(self):
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            header = file.read(28)
            # QEMU writes the header with the first flush; before that the entries stand behind zeros.
            if header != bytes(28) and struct.unpack("<QQxxxxxxxxI", header) != (MAGIC, 1, UNIT):
                raise AssertionError(f"{self.path}: not a record of writes")
            place = UNIT
            # The count in the header is as old as the last flush when the machine was killed: read on to the end.
            while place + UNIT <= size:
                file.seek(place)
                sector, sectors, flags, _ = struct.unpack("<QQQQ", file.read(32))
                if not sectors and not flags:
                    return
                place += UNIT
                length = 0 if flags & DISCARD else sectors * UNIT
                if place + length > size:
                    return
                yield Write(sector * UNIT, length, place, flags)
                place += length

    def flushes(self):
        return [number for number, write in enumerate(self.writes) if write.flags & FLUSH]

    def touching(self, partition):
        """The numbers of the writes into a partition."""
        return [n for n, w in enumerate(self.writes)
                if w.length and partition.start <= w.offset < partition.start + partition.size]

    def disk_after(self, count, before, path, generator=None, torn=False):
        """The disk after `count` writes of this boot that began with the image `before`.

        With a generator, what no flush covered survives by chance; `torn` cuts the last write in two."""
        disk = Disk.copy_of(before, path)
        flushed = max((n for n in self.flushes() if n < count), default=-1)
        with self.path.open("rb") as record, pathlib.Path(path).open("r+b") as out:
            for number, write in enumerate(self.writes[:count]):
                if not write.length:
                    continue
                if generator and number > flushed and generator.random() < 0.5:
                    continue
                length = write.length
                if torn and number == count - 1 and length > UNIT:
                    length = UNIT * (generator.randrange(1, length // UNIT) if generator else 1)
                record.seek(write.place)
                out.seek(write.offset)
                out.write(record.read(length))
        return disk

    def moments(self, generator, count):
        """Numbers of writes to cut after, spread over the whole boot: one in each of `count` equal parts."""
        if not self.writes:
            raise AssertionError(f"{self.path}: nothing was written")
        part = len(self.writes) / count
        return [min(len(self.writes), int(n * part + generator.random() * part) + 1) for n in range(count)]
