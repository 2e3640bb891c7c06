/* The loader: a ring of batches, filled picture by picture by worker threads, taken in order by one consumer.
 *
 * What makes a batch depend on nothing but (seed, epoch, position): a picture's place in the order, its crop
 * and the choice of a replacement are functions of these numbers; workers keep no memory of what was bad, and
 * the share of bad files is judged where batches are taken, in the order of their pictures. A file counts as
 * bad for the crop asked for, so a run that resumes finds the same replacements as one that ran through.
 */
#include "data/loader.h"
#include "base/clock.h"
#include "data/augment_int.h"
#include "data/patch_labels.h"
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A file that could not be used where the order asked for it. */
typedef struct bad_note bad_note;
struct bad_note {
    bad_note *next;
    int64_t id;
    char reason[];
};

enum { PICTURE_OPEN = 0, PICTURE_GOOD, PICTURE_GIVEN_UP /* no good one was found */, PICTURE_FATAL };

typedef struct {
    int64_t index;      /* which batch this is; -1: none yet */
    int32_t n, n_taken; /* pictures in it; handed to workers */
    uint8_t *pixels;
    int64_t *ids, *slots;
    int32_t *labels;
    int32_t *patch_labels, *maps, *objects; /* NULL unless asked for */
    ehm_placement *places;
    int32_t *sizes;
    ehm_box **box_of;                  /* [batch_size] boxes of each picture, */
    int32_t *n_box_of, *cap_box_of;    /* their number and room */
    ehm_box *boxes;                    /* of all, put together by the worker that does the last picture */
    int32_t *box_start, n_done;
    int64_t cap_boxes;
    uint8_t *state;  /* [batch_size] of PICTURE_; written and read under lock */
    bad_note **bad;  /* [batch_size], in the order tried */
    int32_t i_fatal; /* lowest picture with an error that is nobody's file; -1 */
    ehm_err fatal;
} ring_batch;

typedef struct {
    _Atomic(uint8_t *) px;
    int32_t w, h;
    ehm_dtype type;
} cached;
typedef struct {
    uint8_t *px;
    size_t bytes;
} cache_block;

typedef struct {
    int64_t id;
    char *reason;
} bad_file;

typedef struct {
    struct ehm_loader *l;
    pthread_t thread;
    ehm_arena arena;
} worker;

struct ehm_loader {
    ehm_dataset *ds;
    ehm_loader_opt opt;
    int64_t n, per_epoch, n_batches; /* pictures; batches an epoch; batches in all, -1: no end */
    int32_t c;
    ehm_dtype type, set_type;     /* of batches; of the set's pictures */
    size_t px_bytes;              /* of a pixel in the set's type */
    size_t picture_bytes;         /* of a picture in a batch */
    int32_t n_levels, n_patches;  /* labels of patches; n_levels 0: none */
    uint32_t want;                /* of each sample */
    bool use_map[EHM_MAPS_MAX];   /* which maps are kept */
    ehm_arena arena; /* all fixed tables */

    pthread_mutex_t lock; /* everything below, up to the cache */
    pthread_cond_t work, ready;
    atomic_bool stop;                   /* set under lock, read anywhere */
    int64_t head;                       /* batch that the consumer has or waits for */
    int64_t next_batch;                 /* batch that gives out work */
    int32_t n_ring, n_perms, i_awaited; /* i_awaited: picture of head that the consumer sleeps for; -1 */
    ring_batch *ring;
    int64_t **perm, *perm_epoch;

    cached *cache; /* [n] or NULL; filled under cache_lock, read by its pointer */
    ehm_truth *cache_truth; /* [n] or NULL; as cache. Reading maps and boxes again would decode (scenes: draw) again */
    pthread_mutex_t cache_lock;
    cache_block *block; /* where cached pictures lie; the last one is being filled */
    int64_t n_blocks, cap_blocks;
    size_t block_left, budget_left;
    atomic_bool cache_full;

    worker *workers;
    int32_t n_started;
    bool locks_made;

    /* the consumer's own */
    bool borrowed;
    double wait_s;
    uint8_t *seen; /* [n]: 1 seen, 2 bad */
    int64_t n_seen, n_bad, cap_bad;
    bad_file *bad;
    ehm_err failed;
};

/* ---- decoded pictures in memory ---- */
enum { CACHE_BLOCK = 8 << 20, CACHE_LOOK = 32 };

/* Only where the whole set fits: a part of it would slow the first epoch (pictures are decoded whole) for
 * little. */
static bool cache_fits(ehm_loader *l, int64_t budget) {
    ehm_arena a = {0};
    int64_t looked = 0, bytes = 0, m = l->n < CACHE_LOOK ? l->n : CACHE_LOOK, n_maps = 0;
    for (int32_t k = 0; k < EHM_MAPS_MAX; k++) n_maps += l->use_map[k];
    for (int64_t i = 0; i < m; i++) {
        ehm_image_info info;
        if (!ehm_dataset_size_of(l->ds, (int64_t)((__int128)i * l->n / m), &info, &a, NULL)) {
            looked++;
            bytes += (int64_t)info.w * info.h * ((int64_t)l->px_bytes + n_maps) + 63 * (1 + n_maps);
            if (l->opt.want_boxes) bytes += 256; /* a dozen */
        }
        ehm_arena_reset(&a);
    }
    ehm_arena_free(&a);
    return looked && (double)bytes / (double)looked * (double)l->n <= (double)budget;
}

/* A cached picture as an image, with its maps and boxes; false when it is not there. */
static bool cache_get(const ehm_loader *l, int64_t id, ehm_image *out, ehm_truth *truth) {
    if (!l->cache) return false;
    uint8_t *px = atomic_load_explicit(&l->cache[id].px, memory_order_acquire);
    if (!px) return false;
    *out = (ehm_image){px, l->cache[id].w, l->cache[id].h, l->c, l->cache[id].type};
    *truth = l->cache_truth ? l->cache_truth[id] : (ehm_truth){0};
    return true;
}

/* A new block with room for n bytes, within the budget; false: none. */
static bool cache_grow(ehm_loader *l, size_t n) {
    size_t bytes = l->budget_left < CACHE_BLOCK ? l->budget_left : CACHE_BLOCK;
    if (bytes < n) bytes = n;
    if (bytes > l->budget_left) return false;
    if (l->n_blocks == l->cap_blocks) {
        int64_t cap = l->cap_blocks ? 2 * l->cap_blocks : 16;
        cache_block *grown = realloc(l->block, (size_t)cap * sizeof *grown);
        if (!grown) return false;
        l->block = grown, l->cap_blocks = cap;
    }
    uint8_t *px = ehm_block_alloc(bytes);
    if (!px) return false;
    l->block[l->n_blocks++] = (cache_block){px, bytes};
    l->block_left = bytes, l->budget_left -= bytes;
    return true;
}

static size_t cache_room(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static void *cache_copy(uint8_t **at, const void *from, size_t bytes) {
    void *to = *at;
    memcpy(to, from, bytes);
    *at += cache_room(bytes);
    return to;
}

static void cache_put(ehm_loader *l, int64_t id, const ehm_image *img, const ehm_truth *truth) {
    size_t room = cache_room(ehm_image_bytes(img)), box_bytes = (size_t)truth->n_boxes * sizeof *truth->boxes;
    for (int32_t k = 0; k < EHM_MAPS_MAX; k++)
        room += truth->map[k].px ? cache_room(ehm_image_bytes(&truth->map[k])) : 0;
    room += cache_room(box_bytes);
    cached *c = &l->cache[id];
    pthread_mutex_lock(&l->cache_lock);
    if (!atomic_load_explicit(&c->px, memory_order_relaxed) && !atomic_load(&l->cache_full)) {
        if (room <= l->block_left || cache_grow(l, room)) {
            const cache_block *b = &l->block[l->n_blocks - 1];
            uint8_t *at = b->px + (b->bytes - l->block_left);
            l->block_left -= room;
            uint8_t *px = cache_copy(&at, img->px, ehm_image_bytes(img));
            if (l->cache_truth) {
                ehm_truth *t = &l->cache_truth[id];
                *t = *truth;
                for (int32_t k = 0; k < EHM_MAPS_MAX; k++)
                    if (t->map[k].px) t->map[k].px = cache_copy(&at, t->map[k].px, ehm_image_bytes(&t->map[k]));
                if (t->n_boxes) t->boxes = cache_copy(&at, t->boxes, box_bytes);
            }
            c->w = img->w, c->h = img->h, c->type = img->type;
            atomic_store_explicit(&c->px, px, memory_order_release);
        } else {
            atomic_store(&l->cache_full,
                         true); /* from here on, pictures that are not in it are decoded by their crop */
        }
    }
    pthread_mutex_unlock(&l->cache_lock);
}

static ehm_code cache_open(ehm_loader *l, int64_t budget, ehm_err *err) {
    if (budget <= 0 || !cache_fits(l, budget)) return EHM_OK;
    l->budget_left = (size_t)budget & ~(size_t)63;
    if (!(l->cache = EHM_NEW_N(&l->arena, cached, l->n)) ||
        (l->want && !(l->cache_truth = EHM_NEW_N(&l->arena, ehm_truth, l->n))))
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the table of %lld cached pictures",
                        (long long)l->n);
    return EHM_OK;
}

/* ---- one picture ---- */
static ehm_code check_image(const ehm_loader *l, const ehm_image *img, ehm_err *err) {
    if (img->c == l->c) return EHM_OK;
    return EHM_FAIL(err, EHM_E_FORMAT, "%d channels where the set has %d", img->c, l->c);
}

/* Maps and boxes of a sample whose picture is w x h. A map that is not there stays without pixels. */
static ehm_code take_truth(const ehm_loader *l, ehm_truth *t, const ehm_sample *s, int32_t w, int32_t h,
                           ehm_err *err) {
    const ehm_image *map[EHM_MAPS_MAX] = {&s->part_map, &s->object_map, &s->label_map};
    *t = (ehm_truth){0};
    for (int32_t k = 0; k < EHM_MAPS_MAX; k++) {
        if (!l->use_map[k] || !map[k]->px) continue;
        if (map[k]->w != w || map[k]->h != h)
            return EHM_FAIL(err, EHM_E_FORMAT, "a label map of %dx%d beside a picture of %dx%d", map[k]->w,
                            map[k]->h, w, h);
        t->map[k] = *map[k];
    }
    if (l->opt.want_boxes && s->n_boxes) t->boxes = s->boxes, t->n_boxes = s->n_boxes;
    return EHM_OK;
}

/* The part of picture id that a random crop asks for, from the cache or decoded alone where the format can;
 * its maps whole, and its size. */
static ehm_code read_crop(ehm_loader *l, int64_t id, int64_t slot, int64_t epoch, ehm_image *crop,
                          double box[4], bool *flip, ehm_truth *truth, int32_t size[2], ehm_arena *a,
                          ehm_err *err) {
    const ehm_loader_opt *o = &l->opt;
    ehm_image whole;
    ehm_sample s;
    bool have = cache_get(l, id, &whole, truth);
    if (!have && l->cache && !atomic_load(&l->cache_full)) {
        /* A file may be broken below the crop: what fails whole is tried again by its crop, as it is without
         * a cache. */
        ehm_err e = {0};
        ehm_code rc = ehm_dataset_read(l->ds, id, &s, l->want, NULL, a, &e);
        if (rc == EHM_E_MEMORY) {
            if (err) *err = e;
            return rc;
        }
        if (!rc) {
            EHM_TRY(check_image(l, &s.image, err));
            EHM_TRY(take_truth(l, truth, &s, s.image.w, s.image.h, err));
            cache_put(l, id, &s.image, truth);
            whole = s.image, have = true;
        }
    }
    if (have) {
        size[0] = whole.w, size[1] = whole.h;
        ehm_augment_box(box, flip, whole.w, whole.h, o->crop_min, o->crop_max, o->flip, o->seed, epoch, slot);
        return ehm_data_crop(crop, &whole, box, a, err);
    }
    ehm_image_info info;
    EHM_TRY(ehm_dataset_size_of(l->ds, id, &info, a, err));
    size[0] = info.w, size[1] = info.h;
    ehm_augment_box(box, flip, info.w, info.h, o->crop_min, o->crop_max, o->flip, o->seed, epoch, slot);
    ehm_decode_opt d = {.crop_x = (int32_t)box[0],
                        .crop_y = (int32_t)box[1],
                        .crop_w = (int32_t)(box[2] - box[0]),
                        .crop_h = (int32_t)(box[3] - box[1])};
    EHM_TRY(ehm_dataset_read(l->ds, id, &s, l->want, &d, a, err));
    EHM_TRY(check_image(l, &s.image, err));
    EHM_TRY(take_truth(l, truth, &s, info.w, info.h, err));
    if (s.image.w == d.crop_w && s.image.h == d.crop_h) *crop = s.image;
    else if (s.image.w == info.w && s.image.h == info.h) return ehm_data_crop(crop, &s.image, box, a, err);
    else
        return EHM_FAIL(err, EHM_E_FORMAT, "decodes to %dx%d where the header says %dx%d", s.image.w,
                        s.image.h, info.w, info.h);
    return EHM_OK;
}

static ehm_code read_whole(ehm_loader *l, int64_t id, ehm_image *out, ehm_truth *truth, ehm_arena *a,
                           ehm_err *err) {
    if (cache_get(l, id, out, truth)) return EHM_OK;
    ehm_sample s;
    EHM_TRY(ehm_dataset_read(l->ds, id, &s, l->want, NULL, a, err));
    EHM_TRY(check_image(l, &s.image, err));
    EHM_TRY(take_truth(l, truth, &s, s.image.w, s.image.h, err));
    if (l->cache && !atomic_load(&l->cache_full)) cache_put(l, id, &s.image, truth);
    *out = s.image;
    return EHM_OK;
}

/* The picture as it lies in the input, in the set's own type: the same pixels whatever the batch's type is. */
static ehm_code read_placed(ehm_loader *l, void *px, ehm_placement *place, ehm_truth *truth, int32_t size[2],
                            int64_t id, int64_t slot, int64_t epoch, ehm_arena *a, ehm_err *err) {
    const ehm_loader_opt *o = &l->opt;
    ehm_image img;
    if (!o->augment) {
        EHM_TRY(read_whole(l, id, &img, truth, a, err));
        size[0] = img.w, size[1] = img.h;
        ehm_place_fit(place, img.w, img.h, o->w, o->h, o->fit);
        return ehm_data_fit(px, l->set_type, o->h, o->w, &img, o->fit, a, err);
    }
    if (o->scale_max > 0) {
        EHM_TRY(read_whole(l, id, &img, truth, a, err));
        size[0] = img.w, size[1] = img.h;
        ehm_place_scaled(place, img.w, img.h, o->w, o->h, o->scale_min, o->scale_max, o->flip, o->seed, epoch,
                         slot);
        EHM_TRY(ehm_data_window(px, l->set_type, &img, place, a, err));
    } else {
        bool flip = false;
        double box[4];
        EHM_TRY(read_crop(l, id, slot, epoch, &img, box, &flip, truth, size, a, err));
        ehm_place_crop(place, box, flip, o->w, o->h);
        EHM_TRY(ehm_data_resample(px, l->set_type, o->h, o->w, &img, NULL, a, err));
    }
    if (place->flip) ehm_data_mirror(px, o->h, o->w, l->px_bytes);
    return EHM_OK;
}

/* Changes that leave every pixel's place in the labels alone, or have no labels (RandAugment). Draws are by slot. */
static ehm_code change_colours(const ehm_loader *l, ehm_image *img, int64_t slot, int64_t epoch, ehm_arena *a,
                               ehm_err *err) {
    const ehm_loader_opt *o = &l->opt;
    ehm_rng r = ehm_rng_of(o->seed, EHM_RNG_rand_augment, (uint32_t)epoch, (uint64_t)slot), j = r;
    if (o->rand_augment_n > 0)
        EHM_TRY(ehm_rand_augment(img, o->rand_augment_n, o->rand_augment_m, o->rand_augment_std, &r, a, err));
    /* The upper half of the blocks is the jitter's: its draws do not depend on how many RandAugment took. */
    j.ctr[0] = 0x80000000u;
    return o->color_jitter > 0 ? ehm_color_jitter(img, o->color_jitter, &j, a, err) : EHM_OK;
}

static ehm_code place_truth(const ehm_loader *l, ring_batch *b, int32_t i, const ehm_truth *t,
                            const ehm_placement *p, ehm_arena *a, ehm_err *err) {
    const ehm_loader_opt *o = &l->opt;
    size_t n_px = (size_t)o->h * (size_t)o->w, n_labels = (size_t)l->n_levels * (size_t)l->n_patches;
    int32_t ignore = ehm_dataset_ignore_label(l->ds);
    if (l->n_levels)
        EHM_TRY(ehm_patch_labels(b->patch_labels + (size_t)i * n_labels, t->map + EHM_MAPS_MAX - l->n_levels,
                                 l->n_levels, o->label_grid_h, o->label_grid_w, p, ignore, a, err));
    if (o->want_maps)
        EHM_TRY(ehm_place_map(b->maps + (size_t)i * n_px, &t->map[EHM_MAP_CLASS], p, ignore, a, err));
    if (!o->want_boxes) return EHM_OK;
    if (t->n_boxes > b->cap_box_of[i]) {
        int32_t cap = t->n_boxes < 16 ? 16 : t->n_boxes;
        ehm_box *grown = realloc(b->box_of[i], (size_t)cap * sizeof *grown);
        if (!grown) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d boxes", t->n_boxes);
        b->box_of[i] = grown, b->cap_box_of[i] = cap;
    }
    return ehm_truth_boxes(b->box_of[i], &b->n_box_of[i],
                           o->want_objects ? b->objects + (size_t)i * n_px : NULL, t, p,
                           o->box_keep > 0 ? o->box_keep : 0.25, l->ds, a, err);
}

static ehm_code read_picture(ehm_loader *l, ring_batch *b, int32_t i, int64_t id, int64_t slot, int64_t epoch,
                             ehm_arena *a, ehm_err *err) {
    const ehm_loader_opt *o = &l->opt;
    void *px = b->pixels + (size_t)i * l->picture_bytes;
    ehm_image img = {px, o->w, o->h, l->c, l->set_type};
    ehm_truth truth;
    ehm_placement place;
    int32_t size[2];
    if (l->type != l->set_type) EHM_TRY(ehm_image_new(&img, o->w, o->h, l->c, l->set_type, a, err));
    EHM_TRY(read_placed(l, img.px, &place, &truth, size, id, slot, epoch, a, err));
    if (l->set_type == EHM_F32) {
        const float *f = img.px;
        for (size_t k = 0; k < l->picture_bytes / sizeof(float); k++)
            if (!isfinite(f[k])) return EHM_FAIL(err, EHM_E_FORMAT, "pixel values that are not finite");
    }
    if (o->rand_augment_n > 0 || o->color_jitter > 0) EHM_TRY(change_colours(l, &img, slot, epoch, a, err));
    if (l->type != l->set_type) ehm_image_to_f32(px, &img);
    if (o->erase > 0) {
        ehm_rng r = ehm_rng_of(o->seed, EHM_RNG_erase, (uint32_t)epoch, (uint64_t)slot);
        ehm_erase(px, o->h, o->w, l->c, o->erase, o->noise_mean, o->noise_std, &r);
    }
    if (b->places) b->places[i] = place, memcpy(b->sizes + 2 * i, size, sizeof size);
    return l->want ? place_truth(l, b, i, &truth, &place, a, err) : EHM_OK;
}

/* ---- workers ---- */
/* Errors that no other file would cure. */
static bool is_fatal(ehm_code rc) { return rc == EHM_E_MEMORY || rc == EHM_E_STOPPED; }

typedef struct {
    ring_batch *b;
    int32_t i;
    int64_t epoch, at;
    const int64_t *perm;
} work_item;

static bool note_bad(ring_batch *b, int32_t i, bad_note ***tail, int64_t id, const ehm_err *e) {
    size_t n = strlen(e->what) + 1;
    bad_note *note = malloc(sizeof *note + n);
    if (!note) return false;
    note->next = NULL, note->id = id;
    memcpy(note->reason, e->what, n);
    for (char *p = note->reason; *p; p++)
        if (*p == '\n' || *p == '\r' || *p == '\t') *p = ' '; /* one line: it becomes a row of a table */
    if (!*tail) *tail = &b->bad[i];
    **tail = note, *tail = &note->next;
    return true;
}

/* Returns the picture's state. */
static uint8_t fill(ehm_loader *l, ehm_arena *a, const work_item *k) {
    ring_batch *b = k->b;
    bad_note **tail = NULL;
    b->slots[k->i] = k->perm ? k->perm[k->at] : k->at;
    for (int64_t tries = 0;; tries++) {
        /* Enough is enough: all files are bad, or so many in a row that the set is over its limit whatever
         * the rest is. */
        if (tries == l->n || (tries >= 100 && (double)tries > l->opt.max_bad * (double)l->n))
            return PICTURE_GIVEN_UP;
        if (atomic_load_explicit(&l->stop, memory_order_relaxed))
            return PICTURE_GIVEN_UP; /* nobody will look */
        int64_t p = (k->at + tries) % l->n, id = k->perm ? k->perm[p] : p;
        ehm_err e = {0};
        ehm_code rc = read_picture(l, b, k->i, id, b->slots[k->i], k->epoch, a, &e);
        ehm_arena_reset(a);
        if (!rc) {
            b->ids[k->i] = id, b->labels[k->i] = ehm_dataset_label(l->ds, id);
            return PICTURE_GOOD;
        }
        if (is_fatal(rc) || !note_bad(b, k->i, &tail, id, &e)) {
            if (!is_fatal(rc)) ehm_err_clear(&e), EHM_FAIL(&e, EHM_E_MEMORY, "no memory to note a bad file");
            pthread_mutex_lock(&l->lock);
            if (b->i_fatal < 0 || k->i < b->i_fatal) b->i_fatal = k->i, b->fatal = e;
            pthread_mutex_unlock(&l->lock);
            return PICTURE_FATAL;
        }
    }
}

/* The next picture to do, under lock; false: none now. */
static bool take(ehm_loader *l, work_item *k) {
    if (l->next_batch >= l->head + l->n_ring || (l->n_batches >= 0 && l->next_batch >= l->n_batches))
        return false;
    ring_batch *b = &l->ring[l->next_batch % l->n_ring];
    int64_t epoch = l->next_batch / l->per_epoch, first = (l->next_batch % l->per_epoch) * l->opt.batch_size;
    if (b->index != l->next_batch) {
        b->index = l->next_batch, b->n_taken = b->n_done = 0, b->i_fatal = -1;
        b->n = (int32_t)(l->n - first < l->opt.batch_size ? l->n - first : l->opt.batch_size);
        memset(b->state, PICTURE_OPEN, (size_t)b->n);
        ehm_err_clear(&b->fatal);
    }
    *k = (work_item){.b = b, .i = b->n_taken++, .epoch = epoch};
    k->at = first + k->i;
    if (l->opt.shuffle) {
        int64_t e = epoch % l->n_perms;
        if (l->perm_epoch[e] != epoch)
            ehm_order_fill(l->perm[e], l->n, l->opt.seed, epoch), l->perm_epoch[e] = epoch;
        k->perm = l->perm[e];
    }
    if (b->n_taken == b->n) l->next_batch++;
    return true;
}

/* Under lock, by the worker that did the last picture: the boxes of all in one list. False: no memory. */
static bool gather_boxes(ring_batch *b) {
    int64_t n = 0;
    for (int32_t i = 0; i < b->n; i++) {
        b->box_start[i] = (int32_t)n;
        n += b->state[i] == PICTURE_GOOD ? b->n_box_of[i] : 0;
        if (n > INT32_MAX) return false;
    }
    b->box_start[b->n] = (int32_t)n;
    if (n > b->cap_boxes || !b->boxes) {
        int64_t cap = n + n / 2 + 64;
        ehm_box *grown = realloc(b->boxes, (size_t)cap * sizeof *grown);
        if (!grown) return false;
        b->boxes = grown, b->cap_boxes = cap;
    }
    for (int32_t i = 0; i < b->n; i++) {
        int32_t n_of = b->box_start[i + 1] - b->box_start[i];
        if (n_of) memcpy(b->boxes + b->box_start[i], b->box_of[i], (size_t)n_of * sizeof *b->boxes);
    }
    return true;
}

static void *worker_main(void *arg) {
    worker *w = arg;
    ehm_loader *l = w->l;
    pthread_mutex_lock(&l->lock);
    while (!atomic_load(&l->stop)) {
        work_item k;
        if (!take(l, &k)) {
            pthread_cond_wait(&l->work, &l->lock);
            continue;
        }
        pthread_mutex_unlock(&l->lock);
        uint8_t state = fill(l, &w->arena, &k);
        pthread_mutex_lock(&l->lock);
        k.b->state[k.i] = state;
        if (++k.b->n_done == k.b->n && l->opt.want_boxes && !gather_boxes(k.b)) {
            k.b->state[k.i] = PICTURE_FATAL;
            if (k.b->i_fatal < 0)
                k.b->i_fatal = k.i, EHM_FAIL(&k.b->fatal, EHM_E_MEMORY, "no memory for the boxes of a batch");
        }
        if (k.b->index == l->head && k.i == l->i_awaited) pthread_cond_signal(&l->ready);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- taking batches ---- */
static void first_reasons(const ehm_loader *l, ehm_str *text) {
    for (int64_t i = 0; i < l->n_bad && i < 3; i++)
        ehm_str_addf(text, "%s%s: %s", i ? "; " : "", ehm_dataset_name(l->ds, l->bad[i].id),
                     l->bad[i].reason);
    if (l->n_bad > 3) ehm_str_addf(text, "; and %lld more", (long long)l->n_bad - 3);
}

static ehm_code account(ehm_loader *l, int64_t id, const char *reason, ehm_err *err) {
    if (!(l->seen[id] & 1)) l->seen[id] |= 1, l->n_seen++;
    if (!reason || l->seen[id] & 2) return EHM_OK;
    if (l->n_bad == l->cap_bad) {
        int64_t cap = l->cap_bad ? 2 * l->cap_bad : 16;
        bad_file *grown = realloc(l->bad, (size_t)cap * sizeof *grown);
        if (!grown) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to note a bad file");
        l->bad = grown, l->cap_bad = cap;
    }
    char *copy = strdup(reason);
    if (!copy) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to note a bad file");
    l->seen[id] |= 2;
    l->bad[l->n_bad++] = (bad_file){id, copy};
    return EHM_OK;
}

static ehm_code judge(ehm_loader *l, bool at_end, bool given_up, ehm_err *err) {
    bool over = (l->n_seen >= 100 || at_end) && (double)l->n_bad > l->opt.max_bad * (double)l->n_seen;
    if (!over && !given_up) return EHM_OK;
    ehm_str text = {0};
    first_reasons(l, &text);
    if (l->n_bad == l->n)
        EHM_FAIL(err, EHM_E_FORMAT, "none of the %lld pictures can be used: %s", (long long)l->n,
                 ehm_str_c(&text));
    else
        EHM_FAIL(err, EHM_E_FORMAT,
                 "%lld of %lld pictures seen are bad, a share of %.3g where %.3g is permitted: %s",
                 (long long)l->n_bad, (long long)l->n_seen, (double)l->n_bad / (double)l->n_seen,
                 l->opt.max_bad, ehm_str_c(&text));
    EHM_HINT(err, "ehm data --check names every bad file%s",
             l->n_bad == l->n ? "" : "; --max-bad permits a larger share");
    ehm_str_free(&text);
    return EHM_E_FORMAT;
}

/* Picture i of batch b has been worked on: count its files. */
static ehm_code settle(ehm_loader *l, ring_batch *b, int32_t i, uint8_t state, ehm_err *err) {
    ehm_code rc = EHM_OK;
    for (bad_note *n = b->bad[i]; n;) {
        bad_note *gone = n;
        if (!rc) rc = account(l, n->id, n->reason, err);
        n = n->next;
        free(gone);
    }
    b->bad[i] = NULL;
    if (rc) return rc;
    if (state == PICTURE_FATAL) {
        pthread_mutex_lock(
            &l->lock); /* all pictures before i are done, so this is the lowest: its words stay */
        *err = b->fatal;
        pthread_mutex_unlock(&l->lock);
        EHM_WHILE(err, "reading picture %d of batch %lld", i, (long long)b->index);
        return err->code;
    }
    if (state == PICTURE_GOOD) EHM_TRY(account(l, b->ids[i], NULL, err));
    bool at_end = i == b->n - 1 && b->index % l->per_epoch == l->per_epoch - 1;
    return judge(l, at_end, state == PICTURE_GIVEN_UP, err);
}

static void release(ehm_loader *l) {
    pthread_mutex_lock(&l->lock);
    l->head++;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    l->borrowed = false;
}

static ehm_code fail_again(ehm_loader *l, ehm_err *err) {
    if (err && !err->code) *err = l->failed;
    return l->failed.code;
}

ehm_code ehm_loader_next(ehm_loader *l, ehm_batch *out, ehm_err *err) {
    *out = (ehm_batch){0};
    if (l->failed.code) return fail_again(l, err);
    if (l->borrowed) release(l);
    if (l->n_batches >= 0 && l->head >= l->n_batches) return EHM_E_STOPPED;
    ring_batch *b = &l->ring[l->head % l->n_ring];
    for (int32_t i = 0, n = 1; i < n; i++) {
        pthread_mutex_lock(&l->lock);
        if (b->index != l->head || !b->state[i]) {
            double since = ehm_clock_s();
            l->i_awaited = i;
            while (b->index != l->head || !b->state[i]) pthread_cond_wait(&l->ready, &l->lock);
            l->i_awaited = -1;
            l->wait_s += ehm_clock_s() - since;
        }
        n = b->n;
        uint8_t state = b->state[i];
        pthread_mutex_unlock(&l->lock);
        if (settle(l, b, i, state, &l->failed)) return fail_again(l, err);
    }
    l->borrowed = true;
    *out = (ehm_batch){.n = b->n,
                       .pixels = b->pixels,
                       .type = l->type,
                       .ids = b->ids,
                       .slots = b->slots,
                       .labels = b->labels,
                       .patch_labels = b->patch_labels,
                       .n_levels = l->n_levels,
                       .maps = b->maps,
                       .boxes = b->boxes,
                       .box_start = b->box_start,
                       .objects = b->objects,
                       .places = b->places,
                       .sizes = b->sizes,
                       .epoch = l->head / l->per_epoch,
                       .i_batch = l->head % l->per_epoch,
                       .index = l->head};
    return EHM_OK;
}

int64_t ehm_loader_batches_per_epoch(const ehm_loader *l) { return l->per_epoch; }
double ehm_loader_wait_s(const ehm_loader *l) { return l->wait_s; }
int64_t ehm_loader_bad_count(const ehm_loader *l) { return l->n_bad; }
bool ehm_loader_bad(ehm_loader *l, int64_t i, int64_t *id, const char **reason) {
    if (i < 0 || i >= l->n_bad) return false;
    if (id) *id = l->bad[i].id;
    if (reason) *reason = l->bad[i].reason;
    return true;
}

/* ---- open and close ---- */
enum { SCALE_MAX = 100, RAND_AUGMENT_MAX = 64 };

/* Options for training with labels. */
static ehm_code check_changes(const ehm_loader_opt *o, ehm_err *err) {
    bool scaled = o->scale_min != 0 || o->scale_max != 0, truth = o->want_maps || o->want_boxes || o->label_grid_h;
    if (scaled && !(o->scale_min > 0 && o->scale_min <= o->scale_max && o->scale_max <= SCALE_MAX))
        return EHM_FAIL(err, EHM_E_CONFIG, "a scale from %g to %g; 0 < scale_min <= scale_max <= %d is possible",
                        o->scale_min, o->scale_max, SCALE_MAX);
    if (o->rand_augment_n < 0 || o->rand_augment_n > RAND_AUGMENT_MAX || !(o->rand_augment_m >= 0) ||
        !(o->rand_augment_m <= 10) || !(o->rand_augment_std >= 0))
        return EHM_FAIL(err, EHM_E_CONFIG,
                        "RandAugment with %d operations of magnitude %g, deviation %g; up to %d, 0 to 10, and 0 or "
                        "more are possible",
                        o->rand_augment_n, o->rand_augment_m, o->rand_augment_std, RAND_AUGMENT_MAX);
    if (!(o->color_jitter >= 0 && o->color_jitter <= 1))
        return EHM_FAIL(err, EHM_E_CONFIG, "color_jitter %g is not between 0 and 1", o->color_jitter);
    if (!(o->erase >= 0 && o->erase <= 1))
        return EHM_FAIL(err, EHM_E_CONFIG, "erase %g is not a probability between 0 and 1", o->erase);
    if (o->erase > 0 && (!o->noise_mean || !o->noise_std))
        return EHM_FAIL(err, EHM_E_ARG, "loader: erasing without mean and deviation of its noise");
    if (!(o->box_keep >= 0 && o->box_keep <= 1))
        return EHM_FAIL(err, EHM_E_CONFIG, "box_keep %g is not between 0 and 1", o->box_keep);
    if (o->want_objects && !o->want_boxes)
        return EHM_FAIL(err, EHM_E_ARG, "loader: objects of pixels are numbers of boxes, which were not asked for");
    /* An evaluation that is changed at random by a forgotten setting would go unnoticed. */
    if (!o->augment && (scaled || o->rand_augment_n || o->color_jitter > 0 || o->erase > 0))
        return EHM_FAIL(err, EHM_E_ARG, "loader: random changes of pictures without augment");
    if (o->rand_augment_n && truth)
        return EHM_FAIL(err, EHM_E_CONFIG,
                        "RandAugment turns and shifts pictures, but not their label maps and boxes");
    return EHM_OK;
}

static ehm_code check_channels(const ehm_loader *l, ehm_err *err) {
    const ehm_loader_opt *o = &l->opt;
    if (o->rand_augment_n && (l->set_type != EHM_U8 || l->c != 3)) {
        EHM_FAIL(err, EHM_E_CONFIG, "RandAugment is for RGB pictures of 8 bits; %s has %d channels of %s",
                 ehm_dataset_spec(l->ds), l->c, ehm_dtype_name(l->set_type));
        EHM_HINT(err, l->c == 3 ? "train without RandAugment" : "--channels 3, or train without RandAugment");
        return EHM_E_CONFIG;
    }
    if (o->color_jitter > 0 && l->c != 1 && l->c != 3)
        return EHM_FAIL(err, EHM_E_CONFIG, "color_jitter is for grey and RGB pictures; %s has %d channels",
                        ehm_dataset_spec(l->ds), l->c);
    return EHM_OK;
}

static ehm_code check_options(const ehm_loader_opt *o, int64_t n, int64_t first_batch, ehm_err *err) {
    if (o->batch_size < 1 || o->h < 1 || o->w < 1 || o->n_workers < 1 || o->n_ahead < 0 || first_batch < 0)
        return EHM_FAIL(err, EHM_E_ARG,
                        "loader: batch %d, size %dx%d, %d workers, %d ahead, first batch %lld", o->batch_size,
                        o->h, o->w, o->n_workers, o->n_ahead, (long long)first_batch);
    if (o->augment && !(o->scale_max > 0) && !(o->crop_min > 0 && o->crop_min <= o->crop_max && o->crop_max <= 1))
        return EHM_FAIL(err, EHM_E_CONFIG,
                        "crop area from %g to %g of a picture; 0 < crop_min <= crop_max <= 1 is possible",
                        o->crop_min, o->crop_max);
    if (o->augment && !(o->flip >= 0 && o->flip <= 1))
        return EHM_FAIL(err, EHM_E_CONFIG, "flip probability %g is not between 0 and 1", o->flip);
    if (!(o->max_bad >= 0 && o->max_bad <= 1))
        return EHM_FAIL(err, EHM_E_CONFIG, "max_bad %g is not between 0 and 1", o->max_bad);
    if (o->fit && strcmp(o->fit, "auto") && strcmp(o->fit, "crop") && strcmp(o->fit, "stretch") &&
        strcmp(o->fit, "pad"))
        return EHM_FAIL(err, EHM_E_CONFIG, "fit \"%s\" is none of auto, crop, stretch, pad", o->fit);
    if (n < 1) return EHM_FAIL(err, EHM_E_CONFIG, "a set without pictures");
    EHM_TRY(check_changes(o, err));
    if (o->label_grid_h || o->label_grid_w) {
        if (o->label_grid_h < 1 || o->label_grid_w < 1 || o->h % o->label_grid_h || o->w % o->label_grid_w)
            return EHM_FAIL(err, EHM_E_ARG, "a grid of %dx%d patches does not divide an input of %dx%d",
                            o->label_grid_h, o->label_grid_w, o->h, o->w);
    }
    if (o->drop_last && n < o->batch_size) {
        EHM_FAIL(err, EHM_E_CONFIG, "a batch of %d pictures cannot be filled: the set has %lld",
                 o->batch_size, (long long)n);
        EHM_HINT(err, "--batch-size %lld or less, or more pictures", (long long)n);
        return EHM_E_CONFIG;
    }
    return EHM_OK;
}

enum { LEVELS_LOOK = 8 };

/* What a few pictures have: part, object and class maps together; an object map. */
static void look_at_maps(ehm_loader *l, bool *all_levels, bool *objects) {
    ehm_arena a = {0};
    int64_t m = l->n < LEVELS_LOOK ? l->n : LEVELS_LOOK;
    *all_levels = *objects = false;
    for (int64_t i = 0; i < m && !*all_levels; i++) {
        ehm_sample s;
        ehm_err ignored = {0}; /* a bad file is told when it is its turn */
        ehm_code rc = ehm_dataset_read(l->ds, (int64_t)((__int128)i * l->n / m), &s,
                                       EHM_WANT_LABEL_MAPS | EHM_WANT_OBJECT_MAPS, NULL, &a, &ignored);
        if (!rc) *objects |= s.object_map.px != NULL;
        if (!rc && s.label_map.px && s.object_map.px && s.part_map.px) *all_levels = true;
        ehm_arena_reset(&a);
    }
    ehm_arena_free(&a);
}

/* Which maps and boxes are read with each picture. Labels of patches: part, object and class where a picture of a
 * few shows them all, else classes alone. */
static ehm_code truth_open(ehm_loader *l, ehm_err *err) {
    const ehm_loader_opt *o = &l->opt;
    if ((o->label_grid_h || o->want_maps) && !ehm_dataset_n_map_classes(l->ds)) {
        EHM_FAIL(err, EHM_E_CONFIG, "%s has no label maps, and labels of %s were asked for",
                 ehm_dataset_spec(l->ds), o->want_maps ? "pixels" : "patches");
        EHM_HINT(err, "label maps are images/NAME.jpg with labels/NAME.png beside them, or scenes:SEED:COUNT");
        return EHM_E_CONFIG;
    }
    if (o->want_boxes && !ehm_dataset_n_box_classes(l->ds)) {
        EHM_FAIL(err, EHM_E_CONFIG, "%s has no boxes, and boxes of objects were asked for", ehm_dataset_spec(l->ds));
        EHM_HINT(err, "boxes are boxes.json (COCO), Annotations/NAME.xml beside JPEGImages/NAME.jpg (Pascal VOC), "
                      "boxes/NAME.tsv, or scenes:SEED:COUNT");
        return EHM_E_CONFIG;
    }
    if (o->want_boxes) l->want |= EHM_WANT_BOXES;
    if (o->label_grid_h || o->want_maps) l->want |= EHM_WANT_LABEL_MAPS, l->use_map[EHM_MAP_CLASS] = true;
    if (!o->label_grid_h && !o->want_objects) return EHM_OK;
    bool all_levels, objects;
    look_at_maps(l, &all_levels, &objects);
    if (o->label_grid_h) {
        l->n_levels = all_levels ? EHM_MAPS_MAX : 1;
        l->n_patches = o->label_grid_h * o->label_grid_w;
        if (all_levels) l->use_map[EHM_MAP_PART] = l->use_map[EHM_MAP_OBJECT] = true;
    }
    if (o->want_objects) {
        if (!objects) {
            EHM_FAIL(err, EHM_E_CONFIG, "%s has no maps of objects, and the object of each pixel was asked for",
                     ehm_dataset_spec(l->ds));
            EHM_HINT(err, "maps of objects are labels/object/NAME.png beside boxes.json, as ehm data --export "
                          "writes them, or scenes:SEED:COUNT");
            return EHM_E_CONFIG;
        }
        l->want |= EHM_WANT_LABEL_MAPS; /* tells objects of equal extents apart */
        l->use_map[EHM_MAP_OBJECT] = l->use_map[EHM_MAP_CLASS] = true;
    }
    if (l->use_map[EHM_MAP_OBJECT]) l->want |= EHM_WANT_OBJECT_MAPS;
    return EHM_OK;
}

static ehm_code truth_tables(ehm_loader *l, ring_batch *b) {
    const ehm_loader_opt *o = &l->opt;
    ehm_arena *a = &l->arena;
    int32_t size = o->batch_size;
    size_t n_px, n_labels, bytes;
    bool ok = ehm_mul_size(&n_px, (size_t)o->h, (size_t)o->w) && ehm_mul_size(&n_px, n_px, (size_t)size) &&
              ehm_mul_size(&bytes, n_px, sizeof(int32_t)) &&
              ehm_mul_size(&n_labels, (size_t)size * (size_t)l->n_levels, (size_t)l->n_patches);
    if (ok && l->n_levels) ok = (b->patch_labels = EHM_NEW_N(a, int32_t, n_labels));
    if (ok && o->want_maps) ok = (b->maps = ehm_block_alloc(bytes));
    if (ok && o->want_objects) ok = (b->objects = ehm_block_alloc(bytes));
    if (ok && (o->want_maps || o->want_boxes))
        ok = (b->places = EHM_NEW_N(a, ehm_placement, size)) && (b->sizes = EHM_NEW_N(a, int32_t, 2 * (size_t)size));
    if (ok && o->want_boxes)
        ok = (b->box_of = EHM_NEW_N(a, ehm_box *, size)) && (b->n_box_of = EHM_NEW_N(a, int32_t, size)) &&
             (b->cap_box_of = EHM_NEW_N(a, int32_t, size)) &&
             (b->box_start = EHM_NEW_N(a, int32_t, (size_t)size + 1));
    return ok ? EHM_OK : EHM_E_MEMORY;
}

static ehm_code tables_open(ehm_loader *l, ehm_err *err) {
    int32_t size = l->opt.batch_size;
    size_t bytes;
    bool ok = ehm_mul_size(&bytes, l->picture_bytes, (size_t)size);
    ehm_arena *a = &l->arena;
    ok = ok && (l->ring = EHM_NEW_N(a, ring_batch, l->n_ring)) && (l->seen = EHM_NEW_N(a, uint8_t, l->n));
    for (int32_t i = 0; ok && i < l->n_ring; i++) {
        ring_batch *b = &l->ring[i];
        b->index = b->i_fatal = -1;
        ok = (b->pixels = ehm_block_alloc(bytes)) && (b->ids = EHM_NEW_N(a, int64_t, size)) &&
             (b->slots = EHM_NEW_N(a, int64_t, size)) && (b->labels = EHM_NEW_N(a, int32_t, size)) &&
             (b->state = EHM_NEW_N(a, uint8_t, size)) && (b->bad = EHM_NEW_N(a, bad_note *, size));
        ok = ok && !truth_tables(l, b);
    }
    /* The ring may reach over several epochs of a small set; each keeps its own order while its batches are
     * worked on. */
    if (l->opt.shuffle) {
        l->n_perms = (int32_t)((l->n_ring - 1) / l->per_epoch + 2);
        ok = ok && (l->perm = EHM_NEW_N(a, int64_t *, l->n_perms)) &&
             (l->perm_epoch = EHM_NEW_N(a, int64_t, l->n_perms));
        for (int32_t i = 0; ok && i < l->n_perms; i++)
            ok = (l->perm[i] = EHM_NEW_N(a, int64_t, l->n)), l->perm_epoch[i] = -1;
    }
    ok = ok && (l->workers = EHM_NEW_N(a, worker, l->opt.n_workers));
    if (ok) return EHM_OK;
    return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d batches of %d pictures of %dx%d ahead of the step",
                    l->n_ring, size, l->opt.h, l->opt.w);
}

static ehm_code workers_start(ehm_loader *l, ehm_err *err) {
    /* Signals are the program's: its handler must not run on a worker's stack. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = 0;
    for (int32_t i = 0; i < l->opt.n_workers && !rc; i++) {
        l->workers[i].l = l;
        rc = pthread_create(&l->workers[i].thread, NULL, worker_main, &l->workers[i]);
        if (!rc) l->n_started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!rc) return EHM_OK;
    return EHM_FAIL(err, EHM_E_IO, "loader thread %d of %d cannot be started: %s", l->n_started + 1,
                    l->opt.n_workers, strerror(rc));
}

/* The caller's strings and arrays need not outlive the call that opens. */
static ehm_code copy_options(ehm_loader *l, ehm_err *err) {
    ehm_loader_opt *o = &l->opt;
    bool ok = !o->fit || (o->fit = ehm_arena_strdup(&l->arena, o->fit));
    const double **noise[2] = {&o->noise_mean, &o->noise_std};
    for (int32_t k = 0; k < 2 && ok && o->erase > 0; k++) {
        double *v = EHM_NEW_N(&l->arena, double, l->c);
        if ((ok = v)) memcpy(v, *noise[k], (size_t)l->c * sizeof *v), *noise[k] = v;
    }
    return ok ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for a loader");
}

ehm_code ehm_loader_open(ehm_loader **out, ehm_dataset *ds, const ehm_loader_opt *opt, int64_t first_batch,
                         ehm_err *err) {
    *out = NULL;
    EHM_TRY(check_options(opt, ehm_dataset_count(ds), first_batch, err));
    ehm_loader *l = calloc(1, sizeof *l);
    if (!l) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a loader");
    l->ds = ds, l->opt = *opt, l->n = ehm_dataset_count(ds), l->c = ehm_dataset_channels(ds);
    l->set_type = ehm_dataset_is_u8(ds) ? EHM_U8 : EHM_F32;
    l->type = opt->as_f32 || opt->erase > 0 ? EHM_F32 : l->set_type;
    l->px_bytes = (size_t)l->c * ehm_dtype_size(l->set_type);
    l->picture_bytes = (size_t)opt->h * (size_t)opt->w * (size_t)l->c * ehm_dtype_size(l->type);
    l->per_epoch = opt->drop_last ? l->n / opt->batch_size : (l->n + opt->batch_size - 1) / opt->batch_size;
    l->n_batches = opt->repeat ? -1 : l->per_epoch;
    l->n_ring = (opt->n_ahead ? opt->n_ahead : opt->n_workers + 2) + 1; /* one is with the caller */
    l->head = l->next_batch = first_batch, l->i_awaited = -1;
    ehm_code rc = copy_options(l, err);
    if (!rc) rc = check_channels(l, err);
    if (!rc) rc = truth_open(l, err);
    if (!rc) rc = tables_open(l, err);
    if (!rc) rc = cache_open(l, opt->cache_bytes, err);
    if (!rc) {
        l->locks_made = true;
        pthread_mutex_init(&l->lock, NULL), pthread_mutex_init(&l->cache_lock, NULL);
        pthread_cond_init(&l->work, NULL), pthread_cond_init(&l->ready, NULL);
        rc = workers_start(l, err);
    }
    if (rc) {
        ehm_loader_close(l);
        return rc;
    }
    *out = l;
    return EHM_OK;
}

void ehm_loader_close(ehm_loader *l) {
    if (!l) return;
    if (l->locks_made) {
        pthread_mutex_lock(&l->lock);
        atomic_store(&l->stop, true);
        pthread_cond_broadcast(&l->work);
        pthread_mutex_unlock(&l->lock);
        for (int32_t i = 0; i < l->n_started; i++)
            pthread_join(l->workers[i].thread, NULL), ehm_arena_free(&l->workers[i].arena);
        pthread_mutex_destroy(&l->lock), pthread_mutex_destroy(&l->cache_lock);
        pthread_cond_destroy(&l->work), pthread_cond_destroy(&l->ready);
    }
    for (int32_t i = 0; l->ring && i < l->n_ring; i++) {
        ring_batch *b = &l->ring[i];
        size_t map_bytes = (size_t)l->opt.h * (size_t)l->opt.w * (size_t)l->opt.batch_size * sizeof(int32_t);
        ehm_block_free(b->pixels, l->picture_bytes * (size_t)l->opt.batch_size);
        if (b->maps) ehm_block_free(b->maps, map_bytes);
        if (b->objects) ehm_block_free(b->objects, map_bytes);
        for (int32_t k = 0; b->box_of && k < l->opt.batch_size; k++) free(b->box_of[k]);
        free(b->boxes);
        for (int32_t k = 0; l->ring[i].bad && k < l->opt.batch_size; k++)
            for (bad_note *n = l->ring[i].bad[k]; n;) {
                bad_note *gone = n;
                n = n->next;
                free(gone);
            }
    }
    for (int64_t i = 0; i < l->n_blocks; i++) ehm_block_free(l->block[i].px, l->block[i].bytes);
    for (int64_t i = 0; i < l->n_bad; i++) free(l->bad[i].reason);
    free(l->block);
    free(l->bad);
    ehm_arena_free(&l->arena);
    free(l);
}
