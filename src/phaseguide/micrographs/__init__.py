"""Read a micrograph with its pixel size, information bars and empty rim; read and write label maps and records."""

from __future__ import annotations

from phaseguide.micrographs.arrays import as_image_array, as_label_array
from phaseguide.micrographs.info_bar import detect_info_bar
from phaseguide.micrographs.label_maps import read_label_map, write_label_map
from phaseguide.micrographs.margins import Margins, find_margins
from phaseguide.micrographs.reading import Micrograph, read_micrograph
from phaseguide.micrographs.records import sha256_of_array, sha256_of_file, write_record
from phaseguide.micrographs.validation import check_image

__all__ = [
    "Margins",
    "Micrograph",
    "as_image_array",
    "as_label_array",
    "check_image",
    "detect_info_bar",
    "find_margins",
    "read_label_map",
    "read_micrograph",
    "sha256_of_array",
    "sha256_of_file",
    "write_label_map",
    "write_record",
]
