/* The one thing of EXIF that is looked at: which way up a picture is meant to be seen. It is told, never applied. */
#include "image/image_int.h"
#include <string.h>

enum { TIFF_HEADER = 8, ENTRY_BYTES = 12, TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, TYPE_LONG = 4 };

static uint32_t u16_at(const uint8_t *p, bool big) { return big ? (uint32_t)p[0] << 8 | p[1] : ehm_le16(p); }
static uint32_t u32_at(const uint8_t *p, bool big) { return big ? u16_at(p, true) << 16 | u16_at(p + 2, true) : ehm_le32(p); }

uint8_t ehm_exif_orientation(const uint8_t *data, size_t n) {
    if (n < 6 + TIFF_HEADER || memcmp(data, "Exif\0\0", 6)) return 0;
    const uint8_t *tiff = data + 6;
    size_t len = n - 6;
    bool big = tiff[0] == 'M' && tiff[1] == 'M';
    if ((!big && (tiff[0] != 'I' || tiff[1] != 'I')) || u16_at(tiff + 2, big) != 42) return 0;
    size_t at = u32_at(tiff + 4, big); /* of the first directory: a count, then entries */
    if (at < TIFF_HEADER || at > len - 2) return 0;
    size_t n_entries = u16_at(tiff + at, big), room = (len - at - 2) / ENTRY_BYTES;
    if (n_entries > room) n_entries = room; /* cut off: what is there may be looked at */
    for (size_t i = 0; i < n_entries; i++) {
        const uint8_t *e = tiff + at + 2 + i * ENTRY_BYTES;
        if (u16_at(e, big) != TAG_ORIENTATION) continue;
        uint32_t type = u16_at(e + 2, big), value = type == TYPE_SHORT ? u16_at(e + 8, big) : type == TYPE_LONG ? u32_at(e + 8, big) : 0;
        return u32_at(e + 4, big) == 1 && value >= 1 && value <= 8 ? (uint8_t)value : 0;
    }
    return 0;
}
