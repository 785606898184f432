"""Files of text."""

import codecs
from pathlib import Path

from trainables.faults import DatasetError


def check_utf8(path: Path) -> None:
    """Refuse a file that is no text in UTF-8.

    Raises:
        DatasetError: it is not; names the line.
    """
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    with path.open("rb") as file:
        block = b"more"
        while block:
            block = file.read(2**20)
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                line += error.object.count(b"\n", 0, error.start)
                byte = error.object[error.start]
                raise DatasetError(
                    f"{path.name}, line {line}: must be UTF-8 text, but holds byte 0x{byte:02x}; "
                    "an editor or iconv makes UTF-8 of it"
                ) from None
            line += block.count(b"\n")
