/* scenes: procedural pictures with a known hierarchy (scene > objects > parts), for tests, demos and evaluations without any download.
 * Class definitions are fixed; seed changes the pictures only. Same (seed, index, size): same pixels, on every machine (integer or exactly rounded arithmetic).
 *
 *     ehm_sample s; ehm_scene_draw(&s, 1, 42, 64, 64, EHM_WANT_LABEL_MAPS | EHM_WANT_OBJECT_MAPS, &arena, &err);
 */
#ifndef EHM_DATA_SCENES_H
#define EHM_DATA_SCENES_H
#include "data/data.h"
int32_t ehm_scenes_n_classes(void);                   /* picture classes, at least 10 */
const char *ehm_scenes_class(int32_t i);
int32_t ehm_scenes_n_map_classes(void);               /* pixel classes: background kinds and object kinds */
const char *ehm_scenes_map_class(int32_t i);
int32_t ehm_scenes_n_parts(void);
const char *ehm_scenes_part(int32_t i);
int32_t ehm_scenes_label(uint64_t seed, int64_t index); /* without drawing */
/* image RGB u8; label_map class per pixel u8, object_map instance per pixel u8 (0 background), part_map part id per pixel u8; boxes of visible objects; caption. */
ehm_code ehm_scene_draw(ehm_sample *out, uint64_t seed, int64_t index, int32_t w, int32_t h, uint32_t want, ehm_arena *a, ehm_err *err);
#endif
