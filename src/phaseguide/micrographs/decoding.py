"""Decode an image file into an array of planes: TIFF by tifffile, everything else by Pillow."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from phaseguide.errors import MicrographError, is_out_of_memory
from phaseguide.files import open_plain
from phaseguide.micrographs.decoded import NO_MEMORY, Decoded
from phaseguide.micrographs.pillow_decoding import decode_other
from phaseguide.micrographs.tiff_decoding import decode_tiff

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def decode(path: Path, *, as_labels: bool = False) -> Decoded:
    """Read a file by its content, whatever its suffix says; `MicrographError` names the file that cannot be read.

    Labels keep stored values: palette indices instead of colours, black-and-white as 0 and 1, no inversion of inverted
    grey scales. Storage that changes values is refused.
    """
    try:
        if path.is_dir():
            raise MicrographError(f"{path}: is a folder, not an image. Choose a file in it.")
        with open_plain(path) as file:
            start = file.read(4)
            file.seek(0)
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise MicrographError(f"{path}: there is no such file. Check the name and the folder.") from error
    except (OSError, ValueError) as error:  # ValueError: a zero in the name
        raise MicrographError(f"{path}: cannot be read ({getattr(error, 'strerror', error)}).") from error
    if not start:
        raise MicrographError(f"{path}: is empty. Export or copy the image again.")
    from PIL import UnidentifiedImageError

    read = decode_tiff if start in _TIFF_STARTS else decode_other
    try:
        decoded = read(path, as_labels=as_labels)
    except UnidentifiedImageError as error:
        raise MicrographError(
            f"{path}: is not a readable image. Export it as TIFF (keeps the scale), PNG, JPEG or BMP."
        ) from error
    except MicrographError as error:
        raise MicrographError(f"{path}: {error}") from error
    except Exception as error:  # decoders raise anything on a damaged file, struct.error to zlib.error
        if is_out_of_memory(error):
            raise MicrographError(f"{path}: {NO_MEMORY}") from error
        if isinstance(error, OSError) and error.errno:
            raise MicrographError(f"{path}: cannot be read ({error.strerror}).") from error
        reason = str(error) or type(error).__name__
        raise MicrographError(
            f"{path}: is damaged or incomplete ({reason}). Export or copy the image again."
        ) from error
    if 0 in decoded.pixels.shape:
        raise MicrographError(f"{path}: holds no pixels. Export the image again.")
    return replace(decoded, sha256=checksum)
