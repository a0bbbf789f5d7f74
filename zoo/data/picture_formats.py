"""The formats of pictures that are read, and the names of others, recognized by their first bytes."""

from __future__ import annotations

from importlib.util import find_spec

from PIL import features

START_BYTES = 1024
"""Number of bytes from which a format is recognized."""

FORMATS = (
    *("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA"),
    # Pillow reads it since 11.3, where it was built so.
    *(("AVIF",) if find_spec("PIL.AvifImagePlugin") and features.check("avif") else ()),
)
"""Raster formats only, by Pillow's names; its reader of JPEG makes an ``MPO`` of several. For PostScript, Pillow would
start an interpreter."""

IN_EXTRA = ("a HEIC picture", "an AVIF picture")
"""Formats that are read with the extra ``heic``."""

_OTHER = (
    (0, b"%PDF-", "a PDF document"),
    (0, b"%!PS", "a PostScript file"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (0, b"8BPS", "a Photoshop picture"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\0\0\1\0", "an icon (ICO)"),
    (0, b"\0\0\2\0", "a mouse pointer (CUR)"),
    (0, b"icns", "an icon (ICNS)"),
    (0, b"gimp xcf", "a GIMP picture"),
    (0, b"AT&TFORM", "a DjVu document"),
    (0, b"FUJIFILMCCD-RAW", "a raw photograph"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (0, b"#?RADIANCE", "a Radiance picture"),
    (0, b"qoif", "a QOI picture"),
    (0, b"DDS ", "a DDS texture"),
    (0, b"SIMPLE  =", "a FITS picture"),
    (128, b"DICM", "a DICOM picture"),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (40, b" EMF", "a Windows metafile"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"PK\x03\x04", "a zip archive or an office document"),
    (0, b"\x1f\x8b", "a file compressed with gzip"),
    (0, b"{\\rtf", "a text document"),
    (0, b"\x1a\x45\xdf\xa3", "a video"),
)
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_MARKUP = ((b"<svg", "an SVG drawing"), (b"<!doctype html", "a web page"), (b"<html", "a web page"))


def other_format(start: bytes) -> str | None:
    """Return what a file is that is no picture of `FORMATS`, or None if that is not known.

    Args:
        start: The first `START_BYTES` bytes of the file.

    Returns:
        A noun with its article, for example ``a HEIC picture``.
    """
    if start[4:8] == b"ftyp":
        return _in_boxes(start)
    for offset, signature, name in _OTHER:
        if start.startswith(signature, offset):
            return name
    text = start.removeprefix(b"\xef\xbb\xbf").replace(b"\0", b"").removeprefix(b"\xff\xfe").lstrip().lower()
    if text.startswith(b"<"):
        return next((name for tag, name in _MARKUP if tag in text), None)
    return None


def formats_of(start: bytes) -> tuple[str, ...]:
    """Return the formats, by Pillow's names, that a file may have.

    Args:
        start: The first `START_BYTES` bytes of a file for which `other_format` returns None.
    """
    if start[4:8] != b"ftyp" or _is_avif(start):
        return FORMATS
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)
    return ("HEIF",)


def _is_avif(start: bytes) -> bool:
    brands = _brands(start)
    return b"avif" in brands or b"avis" in brands


def _brands(start: bytes) -> bytes:
    return start[8 : min(len(start), int.from_bytes(start[:4], "big"))]


def _in_boxes(start: bytes) -> str | None:
    """Return what a file in the format of MPEG-4 is: a photograph or a video."""
    brands = _brands(start)
    if _is_avif(start):
        return None if "AVIF" in FORMATS else "an AVIF picture"
    if any(brand in brands for brand in _HEIC_BRANDS):
        return None if find_spec("pillow_heif") else "a HEIC picture"
    return "a raw photograph" if brands.startswith(b"crx ") else "a video"
