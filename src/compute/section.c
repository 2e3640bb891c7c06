/* Sections: rows of ops that are the same each time, which a device may record and start as one. */
#include "base/err.h"
#include "compute/compute_int.h"

/* The number under which key is known; -1: not seen before. */
static int32_t find(const ehm_dev *d, uint64_t key) {
    for (int32_t i = 0; i < d->n_sections; i++)
        if (d->section[i].key == key) return i;
    return -1;
}

/* Watched ops are looked at one by one, and a failed device runs nothing. */
static bool may_record(const ehm_dev *d) { return d->be->record && !d->records_fail && !d->watch_finite && !d->err.code; }

bool ehm_dev_section(ehm_dev *d, uint64_t key) {
    EHM_ASSERT(d->i_section < 0);
    if (d->section_done) { /* by the body that has just ended */
        d->section_done = false;
        return false;
    }
    int32_t i = find(d, key);
    if (i >= 0 && may_record(d)) {
        if (d->be->replay(d->self, i)) {
            d->flops += d->section[i].flops;
            return false;
        }
        d->recording = d->be->record(d->self, i);
        if (!d->recording) d->records_fail = true;
    }
    if (i < 0 && d->n_sections < EHM_SECTIONS) { /* the first time ops take what memory they need, which cannot be recorded */
        i = d->n_sections++;
        d->section[i] = (ehm_section){.key = key};
    }
    d->i_section = i < 0 ? EHM_SECTIONS : i;
    d->section_flops = d->flops;
    return true;
}

void ehm_dev_section_end(ehm_dev *d) {
    int32_t i = d->i_section;
    EHM_ASSERT(i >= 0);
    d->section_done = true;
    if (i < EHM_SECTIONS) d->section[i].flops = d->flops - d->section_flops;
    if (d->recording && !d->be->recorded(d->self, i)) {
        d->records_fail = true;
        d->section_done = d->err.code != EHM_OK; /* once more, op by op */
        d->flops = d->section_flops;
    }
    d->recording = false, d->i_section = -1;
}
