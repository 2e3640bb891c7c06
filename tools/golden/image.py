"""Small pictures of every kind that is read, and what Pillow 13.0.0 (libjpeg-turbo 3.2.0, libwebp 1.6.0, libtiff 4.7.2) and
NumPy 2.4.6 say their pixels are; resampled pictures by Pillow's Image.resize.

usage: python tools/golden/image.py      (writes tests/golden/image/)

images.csv: file, w, h, c, type, tolerance, sha256 of the packed little-endian pixels. Tolerance 0: the hash must be met.
Above 0 (lossy formats, where decoders may differ by rounding): NAME.ref.ppm or .pgm holds the pixels, and no value may differ
by more. Kinds that Pillow cannot write are put together by hand here; kinds that it would reduce (16 bit colour) are compared
with the array they were made from.
resize.csv: file, source, x0, y0, x1, y1, w, h, filter; the file holds the result as PGM, PPM or PFM.
"""
import csv, hashlib, io, struct, zlib
from pathlib import Path
import numpy as np
from PIL import Image, ImageDraw, TiffImagePlugin

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "image"
OUT.mkdir(parents=True, exist_ok=True)
for old in OUT.iterdir():
    old.unlink()

W, H = 37, 29
rng = np.random.default_rng(3)


def picture(w=W, h=H):
    y, x = np.mgrid[0:h, 0:w]
    rgb = np.stack([x * 255 / (w - 1), y * 255 / (h - 1), (x + y) * 255 / (w + h - 2)], -1)
    im = Image.fromarray(rgb.astype(np.uint8))
    d = ImageDraw.Draw(im)
    d.ellipse((w * .2, h * .2, w * .7, h * .8), fill=(230, 40, 30), outline=(0, 0, 0))
    d.line((0, h, w, 0), fill=(255, 255, 0), width=2)
    a = np.asarray(im).astype(int) + rng.integers(-9, 10, (h, w, 3))
    return np.clip(a, 0, 255).astype(np.uint8)


RGB = picture()
GREY = np.asarray(Image.fromarray(RGB).convert("L"))
ALPHA = np.clip(np.mgrid[0:H, 0:W][1] * 9, 0, 255).astype(np.uint8)
RGBA = np.dstack([RGB, ALPHA])
LA = np.dstack([GREY, ALPHA])
RGB16 = (RGB.astype(np.uint16) * 257 + rng.integers(-120, 120, RGB.shape)).astype(np.uint16)
GREY16 = RGB16[..., 1].copy()
F32 = (GREY16.astype(np.float32) / 1000 - 20).astype(np.float32)
rows = []


def pixels(im):
    """As Pillow converts it, in the mode that keeps what we keep."""
    mode = {"1": "L", "L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "La": "LA"}.get(im.mode)
    if im.mode == "P":
        mode = "RGBA" if "transparency" in im.info else "RGB"
    if mode is None:
        return np.asarray(im)  # I;16, F
    return np.asarray(im.convert(mode))


def note(name, expected, tolerance=0):
    e = np.ascontiguousarray(expected)
    e3 = e[..., None] if e.ndim == 2 else e
    t = {"uint8": "u8", "uint16": "u16", "float32": "f32"}[e.dtype.name]
    sha = hashlib.sha256(e.astype(e.dtype.newbyteorder("<")).tobytes()).hexdigest()
    rows.append([name, e3.shape[1], e3.shape[0], e3.shape[2], t, tolerance, sha])
    if tolerance:
        if e3.shape[2] == 4:
            head = f"P7\nWIDTH {e3.shape[1]}\nHEIGHT {e3.shape[0]}\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
        else:
            head = f"P{5 if e3.shape[2] == 1 else 6}\n{e3.shape[1]} {e3.shape[0]}\n255\n"
        (OUT / (name + ".ref.pnm")).write_bytes(head.encode() + e.tobytes())


def pil(name, array_or_image, tolerance=0, expected=None, **kw):
    im = array_or_image if isinstance(array_or_image, Image.Image) else Image.fromarray(array_or_image)
    im.save(OUT / name, **kw)
    note(name, pixels(Image.open(OUT / name)) if expected is None else expected, tolerance)


def raw(name, data, expected=None, tolerance=0):
    (OUT / name).write_bytes(data)
    note(name, pixels(Image.open(OUT / name)) if expected is None else expected, tolerance)


# JPEG
pil("grey.jpg", GREY, 2, quality=85)
pil("s444.jpg", RGB, 2, quality=85, subsampling=0)
pil("s422.jpg", RGB, 2, quality=85, subsampling=1)
pil("s420.jpg", RGB, 2, quality=85, subsampling=2)
pil("progressive.jpg", RGB, 2, quality=85, subsampling=2, progressive=True)
pil("restart.jpg", RGB, 2, quality=85, subsampling=2, restart_marker_blocks=2)
pil("cmyk.jpg", Image.fromarray(RGB).convert("CMYK"), 2, quality=90)
exif = Image.Exif()
exif[274] = 6  # must be ignored
pil("exif6.jpg", RGB, 2, quality=85, exif=exif, icc_profile=b"\0" * 200)
big = picture(203, 157)
for sub, tag in ((0, "444"), (1, "422"), (2, "420")):
    Image.fromarray(big).save(OUT / f"crop_{tag}.jpg", quality=80, subsampling=sub)
Image.fromarray(big).save(OUT / "crop_p420.jpg", quality=80, subsampling=2, progressive=True)
Image.fromarray(big).convert("L").save(OUT / "crop_grey.jpg", quality=80)

# PNG
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def png(array, colour, bits, palette=None, trns=None, interlace=False):
    a = array if array.ndim == 3 else array[..., None]
    h, w, c = a.shape

    def scan(part):
        out = b""
        for row in part:
            if bits == 16:
                b = row.astype(">u2").tobytes()
            elif bits == 8:
                b = row.astype(np.uint8).tobytes()
            else:
                v = np.unpackbits(row.reshape(-1, 1).astype(np.uint8), axis=1)[:, 8 - bits:].reshape(-1)
                b = np.packbits(v).tobytes()
            out += b"\0" + b
        return out

    data = b"".join(scan(a[y::dy, x::dx]) for x, y, dx, dy in ADAM7 if a[y::dy, x::dx].size) if interlace else scan(a)
    chunk = lambda k, d: struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d))
    s = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, bits, colour, 0, 0, int(interlace)))
    if palette is not None:
        s += chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    if trns is not None:
        s += chunk(b"tRNS", trns)
    return s + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


pil("grey1.png", Image.fromarray(GREY).convert("1"))
raw("grey2.png", png(GREY >> 6, 0, 2))
raw("grey4.png", png(GREY >> 4, 0, 4))
pil("grey8.png", GREY)
pil("la8.png", LA)
pil("rgb8.png", RGB, icc_profile=b"\0" * 200)
pil("rgba8.png", RGBA)
quant = Image.fromarray(RGB).quantize(16)
pil("palette4.png", quant, bits=4)
pil("palette8.png", Image.fromarray(RGB).quantize(200))
pil("palette2.png", Image.fromarray(RGB).quantize(4), bits=2)
pil("palette1.png", Image.fromarray(RGB).quantize(2), bits=1)
pal = rng.integers(0, 256, (16, 3))
raw("palette_trns.png", png(GREY >> 4, 3, 4, pal, bytes(range(0, 160, 16))))
raw("rgb_trns.png", png(RGB, 2, 8, trns=struct.pack(">HHH", *[int(v) for v in RGB[3, 4]])),
    np.dstack([RGB, np.where((RGB == RGB[3, 4]).all(-1), 0, 255).astype(np.uint8)]))
raw("grey16.png", png(GREY16, 0, 16), GREY16)
raw("rgb16.png", png(RGB16, 2, 16), RGB16)
raw("rgba16.png", png(np.dstack([RGB16, GREY16]), 6, 16), np.dstack([RGB16, GREY16]))
raw("adam7_rgb.png", png(RGB, 2, 8, interlace=True))
raw("adam7_grey16.png", png(GREY16, 0, 16, interlace=True), GREY16)
raw("adam7_grey1.png", png((GREY > 99).astype(np.uint8), 0, 1, interlace=True))
(OUT / "label_palette4.png").write_bytes(png(GREY >> 4, 3, 4, pal))
(OUT / "label_grey16.png").write_bytes(png(GREY16, 0, 16))

# WebP
pil("lossy.webp", RGB, 2, quality=80)
pil("lossless.webp", RGB, lossless=True)
pil("alpha.webp", RGBA, 2, quality=80)
pil("alpha_lossless.webp", RGBA, lossless=True, exact=True)
second = Image.fromarray(255 - RGB)
pil("animated.webp", Image.fromarray(RGBA), lossless=True, exact=True, save_all=True, append_images=[second], minimize_size=False)

# TIFF
pil("grey8.tif", GREY)
pil("rgb_lzw.tif", RGB, compression="tiff_lzw")
pil("rgb_deflate.tif", RGB, compression="tiff_adobe_deflate")
pil("rgba_packbits.tif", RGBA, compression="packbits")
pil("rgb_jpeg.tif", RGB, 2, compression="jpeg", quality=90)
pil("la.tif", LA)
pil("bits_g4.tif", Image.fromarray(GREY).convert("1"), compression="group4")
pil("palette.tif", quant)
pil("cmyk.tif", Image.fromarray(RGB).convert("CMYK"))
pil("grey16.tif", Image.fromarray(GREY16), expected=GREY16)
pil("f32.tif", Image.fromarray(F32), expected=F32)
ifd = TiffImagePlugin.ImageFileDirectory_v2()
for o in range(2, 9):
    ifd[274] = o
    pil(f"turn{o}.tif", RGB[:9, :13].copy(), tiffinfo=ifd)
pil("pages.tif", Image.fromarray(GREY), save_all=True, append_images=[Image.fromarray(255 - GREY)])


def tiff(array, photometric, order="<", planar=1, tile=None, rows_per_strip=7, extra=None, fmt=1, white=False):
    a = array if array.ndim == 3 else array[..., None]
    h, w, c = a.shape
    a = a.astype(a.dtype.newbyteorder(order))
    planes = [a] if planar == 1 else [a[..., i:i + 1] for i in range(c)]
    pieces = []
    for p in planes:
        if tile:
            for y in range(0, h, tile):
                for x in range(0, w, tile):
                    t = np.zeros((tile, tile, p.shape[2]), p.dtype)
                    q = p[y:y + tile, x:x + tile]
                    t[:q.shape[0], :q.shape[1]] = q
                    pieces.append(t.tobytes())
        else:
            pieces += [p[y:y + rows_per_strip].tobytes() for y in range(0, h, rows_per_strip)]
    bits = a.dtype.itemsize * 8
    tags = [(256, 4, [w]), (257, 4, [h]), (258, 3, [bits] * c), (259, 3, [1]), (262, 3, [photometric]), (277, 3, [c]),
            (284, 3, [planar]), (339, 3, [fmt] * c)]
    if extra is not None:
        tags.append((338, 3, extra))
    at = 8
    offsets = []
    for p in pieces:
        offsets.append(at)
        at += len(p)
    if tile:
        tags += [(322, 4, [tile]), (323, 4, [tile]), (324, 4, offsets), (325, 4, [len(p) for p in pieces])]
    else:
        tags += [(273, 4, offsets), (278, 4, [rows_per_strip]), (279, 4, [len(p) for p in pieces])]
    tags.sort()
    at += at % 2
    extra_at = at + 2 + 12 * len(tags) + 4
    body, more = struct.pack(order + "H", len(tags)), b""
    for tag, kind, v in tags:
        data = struct.pack(order + ("H" if kind == 3 else "I") * len(v), *v)
        body += struct.pack(order + "HHI", tag, kind, len(v))
        if len(data) <= 4:
            body += data.ljust(4, b"\0")
        else:
            body += struct.pack(order + "I", extra_at + len(more))
            more += data + b"\0" * (len(data) % 2)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, at)
    return (head + b"".join(pieces)).ljust(at, b"\0") + body + b"\0\0\0\0" + more


raw("tiles.tif", tiff(RGB, 2, tile=16))
raw("planes.tif", tiff(RGB, 2, planar=2), RGB)
raw("tiled_planes16.tif", tiff(RGB16, 2, order=">", planar=2, tile=16), RGB16)
raw("big_endian16.tif", tiff(GREY16, 1, order=">"), GREY16)
raw("rgb16.tif", tiff(RGB16, 2), RGB16)
raw("rgb_f32.tif", tiff(RGB16.astype(np.float32) / 7, 2, fmt=3), RGB16.astype(np.float32) / np.float32(7))
raw("white_is_zero.tif", tiff(GREY, 0))
raw("five.tif", tiff(np.dstack([RGBA, GREY]), 1, extra=[0, 0, 0, 0]), np.dstack([RGBA, GREY]))
raw("int16.tif", tiff(GREY.astype(np.int16) - 100, 1, fmt=2), GREY.astype(np.float32) - 100)
raw("f64.tif", tiff(F32.astype(np.float64), 1, fmt=3), F32)
raw("premultiplied.tif", tiff(RGBA // 2 * np.array([1, 1, 1, 2], np.uint8), 2, extra=[1]))

# GIF
pil("plain.gif", quant)
pil("no_interlace.gif", quant, interlace=0)
g = quant.copy()
g.info["transparency"] = 5
pil("transparent.gif", g, transparency=5)
frame = bytearray((OUT / "no_interlace.gif").read_bytes())
frame[6:10] = struct.pack("<HH", W + 6, H + 4)  # larger canvas
at = frame.index(b"\x2c", 13 + 3 * 16)
frame[at + 1:at + 5] = struct.pack("<HH", 4, 3)
raw("offset.gif", bytes(frame))
pil("animated.gif", quant, save_all=True, append_images=[second.quantize(8)])


# BMP
def bmp(w, h, bits, data, compression=0, palette=b"", masks=b"", size=40):
    off = 14 + size + len(masks) + len(palette)
    n_colours = len(palette) // 4 if bits <= 8 else 0
    head = struct.pack("<IiiHHIIiiII", 40, w, h, 1, bits, compression, len(data), 2835, 2835, n_colours, 0)
    return b"BM" + struct.pack("<IHHI", off + len(data), 0, 0, off) + head + masks + palette + data


def bmp_rows(values, bits):
    out = b""
    for row in values[::-1]:
        v = np.unpackbits(row.reshape(-1, 1).astype(np.uint8), axis=1)[:, 8 - bits:].reshape(-1) if bits < 8 else None
        b = np.packbits(v).tobytes() if bits < 8 else row.tobytes()
        out += b.ljust((len(b) + 3) // 4 * 4, b"\0")
    return out


pal4 = np.dstack([pal[:, ::-1].reshape(1, -1, 3), np.zeros((1, 16, 1), int)]).astype(np.uint8).tobytes()
pil("grey1.bmp", Image.fromarray(GREY).convert("1"))
pil("grey8.bmp", GREY)
pil("palette8.bmp", quant)
pil("rgb24.bmp", RGB)
pil("rgba32.bmp", RGBA)
raw("palette4.bmp", bmp(W, H, 4, bmp_rows(GREY >> 4, 4), palette=pal4))
raw("palette1.bmp", bmp(W, H, 1, bmp_rows(GREY > 99, 1), palette=pal4[:8]))
raw("top_down.bmp", bmp(W, -H, 8, bmp_rows((GREY >> 4)[::-1], 8), palette=pal4))
raw("rgb555.bmp", bmp(W, H, 16, bmp_rows((GREY16 & 0x7FFF).astype("<u2"), 16)))
raw("rgb565.bmp", bmp(W, H, 16, bmp_rows(GREY16.astype("<u2"), 16), 3, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F)))
raw("rgbx32.bmp", bmp(W, H, 32, bmp_rows(np.dstack([RGB, ALPHA]), 32)))
core = b"BM" + struct.pack("<IHHI", 26 + H * 112, 0, 0, 26) + struct.pack("<IHHHH", 12, W, H, 1, 24)
raw("core24.bmp", core + bmp_rows(RGB, 24))


def rle8(values):
    out = b""
    for i, row in enumerate(values[::-1]):
        x = 0
        while x < len(row):
            n = 1
            while x + n < len(row) and row[x + n] == row[x] and n < 255:
                n += 1
            if n == 1 and len(row) - x >= 5:
                out += bytes([0, 5]) + row[x:x + 5].tobytes() + b"\0"
                x += 5
            else:
                out += bytes([n, row[x]])
                x += n
        out += b"\0\0"
    return out + b"\0\1"


raw("rle8.bmp", bmp(W, H, 8, rle8(GREY >> 4), 1, palette=pal4))
delta = np.zeros((6, 12), int)  # rows from the bottom: a run; moved by 4, 1; a run; three bytes as they are; end of picture
delta[0, :5], delta[2, 4:7], delta[3, :3] = 3, 7, (1, 2, 5)
raw("rle8_delta.bmp", bmp(12, 6, 8, b"\x05\x03\x00\x00\x00\x02\x04\x01\x03\x07\x00\x00\x00\x03\x01\x02\x05\x00\x00\x01", 1, palette=pal4),
    pal.astype(np.uint8)[delta[::-1]])
raw("rle4.bmp", bmp(12, 4, 4, b"\x0c\x1f\x00\x00\x00\x07\x12\x34\x56\x70\x05\x88\x00\x00\x04\x9a\x00\x00\x0c\xbc\x00\x01", 2, palette=pal4))

# PNM
pil("bits.pbm", Image.fromarray(GREY).convert("1"))
pil("grey.pgm", GREY)
pil("rgb.ppm", RGB)
raw("grey16.pgm", b"P5 %d %d 65535\n" % (W, H) + GREY16.astype(">u2").tobytes(), GREY16)
raw("rgb16.ppm", b"P6\n# a comment\n%d %d\n65535\n" % (W, H) + RGB16.astype(">u2").tobytes(), RGB16)
raw("max100.pgm", b"P5\n%d %d\n100\n" % (W, H) + (GREY // 3).tobytes())
raw("max6.ppm", b"P6\n%d %d\n6\n" % (W, H) + (RGB // 40).tobytes())
raw("plain.pbm", b"P1\n%d %d\n" % (W, H) + b"\n".join(b"".join((b"1" if v > 99 else b"0") for v in r) for r in GREY))
raw("plain.pgm", b"P2\n%d %d # width\n255\n" % (W, H) + b"\n".join(b" ".join(b"%d" % v for v in r) for r in GREY))
raw("plain.ppm", b"P3\n%d %d\n255\n" % (W, H) + b"\n".join(b" ".join(b"%d" % v for v in r.reshape(-1)) for r in RGB))
raw("rgba.pam", b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n" % (W, H) + RGBA.tobytes(), RGBA)
raw("grey.pfm", b"Pf\n%d %d\n-1.0\n" % (W, H) + F32[::-1].astype("<f4").tobytes(), F32)
raw("rgb_big_endian.pfm", b"PF\n%d %d\n1.0\n" % (W, H) + (RGB16[::-1] / 3).astype(">f4").tobytes(), (RGB16 / 3).astype(np.float32))

with open(OUT / "images.csv", "w", newline="") as f:
    out = csv.writer(f, lineterminator="\n")
    out.writerow(["file", "w", "h", "c", "type", "tolerance", "sha256"])
    out.writerows(rows)

# Colour conversions, by Pillow
note_rows = []
for name, src, mode in (("rgb8.png", RGB, "L"), ("grey8.png", GREY, "RGB"), ("rgba8.png", RGBA, "RGB"), ("rgba8.png", RGBA, "L"), ("la8.png", LA, "RGB")):
    e = np.asarray(Image.fromarray(src).convert(mode))
    note_rows.append([name, 1 if mode == "L" else 3, hashlib.sha256(e.tobytes()).hexdigest()])
with open(OUT / "channels.csv", "w", newline="") as f:
    out = csv.writer(f, lineterminator="\n")
    out.writerow(["file", "channels", "sha256"])
    out.writerows(note_rows)

# Resampling. The 16 bit and float cases go by Pillow's I;16 and F modes.
small = picture(61, 47)
Image.fromarray(small).save(OUT / "r_rgb.png")
Image.fromarray(small[..., 0].copy()).save(OUT / "r_grey.png")
small16 = (small[..., 1].astype(np.uint16) * 257 + rng.integers(-120, 120, small.shape[:2])).astype(np.uint16)
(OUT / "r_grey16.png").write_bytes(png(small16, 0, 16))
smallf = (small16 / 1000 - 20).astype(np.float32)
(OUT / "r_f32.pfm").write_bytes(b"Pf\n61 47\n-1.0\n" + smallf[::-1].astype("<f4").tobytes())
sources = {"r_rgb.png": Image.fromarray(small), "r_grey.png": Image.fromarray(small[..., 0].copy()),
           "r_grey16.png": Image.fromarray(small16), "r_f32.pfm": Image.fromarray(smallf)}
boxes = [(0, 0, 61, 47), (3, 5, 50, 40), (2.25, 1.7, 58.9, 44.1), (10.5, 10.25, 19.75, 21)]
sizes = [(24, 24), (32, 19), (90, 70), (61, 20), (7, 47)]
kinds = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}
with open(OUT / "resize.csv", "w", newline="") as f:
    out = csv.writer(f, lineterminator="\n")
    out.writerow(["source", "x0", "y0", "x1", "y1", "w", "h", "filter", "sha256"])
    for name, im in sources.items():
        for box in boxes:
            for w, h in sizes:
                for k, filt in kinds.items():
                    e = np.asarray(im.resize((w, h), filt, box))
                    e = e.astype(e.dtype.newbyteorder("<"))
                    out.writerow([name, *box, w, h, k, hashlib.sha256(e.tobytes()).hexdigest()])

(OUT / "HOW").write_text("Made by: python tools/golden/image.py (Pillow 13.0.0, NumPy 2.4.6, Python 3.11). What the columns mean\n"
                         "stands at the head of that script. *.ref.pnm: pixels of lossy files as Pillow gives them.\n")
print(len(rows), "pictures,", sum(p.stat().st_size for p in OUT.iterdir()), "bytes")
