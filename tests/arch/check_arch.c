/* Holds the sources against src/LAYERS and the house rules. Prints file:line and the rule that is broken; exit 1 when any is.
 *   (a) every quoted include goes to an allowed folder   (b) x_int.h stays at home
 *   (c) vendor headers only in the file that owns them    (d) exit and stdout only in cli; rand and time nowhere but base/clock.c
 *   (e) LAYERS has no cycle and misses no folder          (f) file names are unique
 * usage: ehm_arch SOURCE_ROOT
 */
#include <ctype.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_LAYERS = 40, MAX_FILES = 2000 };
static struct { char name[32], may[512]; int mark; } layer[MAX_LAYERS];
static int n_layers, n_bad;
static char *names[MAX_FILES];
static int n_names;
static const char *root;

static void bad(const char *file, int line, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    printf("%s:%d: ", file, line);
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
    n_bad++;
}
static int find_layer(const char *name, size_t n) {
    for (int i = 0; i < n_layers; i++)
        if (strlen(layer[i].name) == n && !strncmp(layer[i].name, name, n)) return i;
    return -1;
}
static bool has_word(const char *list, const char *w) {
    size_t n = strlen(w);
    for (const char *p = list; (p = strstr(p, w)); p += n)
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || !p[n])) return true;
    return false;
}
static void read_layers(void) {
    char path[1024], line[1024];
    snprintf(path, sizeof path, "%s/src/LAYERS", root);
    FILE *f = fopen(path, "r");
    if (!f) perror(path), exit(2);
    for (int i = 1; fgets(line, sizeof line, f); i++) {
        if (line[0] == '#' || line[0] == '\n') continue;
        line[strcspn(line, "\n")] = 0;
        char *colon = strchr(line, ':');
        if (!colon || n_layers == MAX_LAYERS) {
            bad("src/LAYERS", i, "no 'folder: folders' row");
            continue;
        }
        *colon = 0;
        snprintf(layer[n_layers].name, sizeof layer[0].name, "%.31s", line);
        for (colon++; *colon == ' ';) colon++;
        snprintf(layer[n_layers++].may, sizeof layer[0].may, "%.511s", colon);
    }
    fclose(f);
}
static bool cyclic(int i) {
    if (layer[i].mark == 1) return true;
    if (layer[i].mark == 2) return false;
    layer[i].mark = 1;
    for (int k = 0; k < n_layers; k++)
        if (k != i && has_word(layer[i].may, layer[k].name) && cyclic(k)) return true;
    layer[i].mark = 2;
    return false;
}
static bool calls(const char *line, const char *fn) {
    size_t n = strlen(fn);
    for (const char *p = line; (p = strstr(p, fn)); p += n)
        if (p[n] == '(' && (p == line || (!isalnum((unsigned char)p[-1]) && p[-1] != '_' && p[-1] != '.' && p[-1] != '>'))) return true;
    return false;
}
/* vendor header -> the only files that may include it */
static const char *const vendor[][2] = {
    {"jpeglib.h", "image/codec_jpeg.c image/encode_jpeg.c"}, {"jerror.h", "image/codec_jpeg.c image/encode_jpeg.c"}, {"png.h", "image/codec_png.c"}, {"webp/", "image/codec_webp.c"},
    {"tiffio.h", "image/codec_tiff.c"}, {"tiff.h", "image/codec_tiff.c"}, {"gif_lib.h", "image/codec_gif.c"},
    {"zlib.h", "data/unpack.c"}, {"zstd.h", "data/unpack.c"}, {"lzma.h", "data/unpack.c"},
    {"dnnl.h", "compute/cpu/cpu_dnnl.c"}, {"dnnl_version.h", "compute/cpu/cpu_dnnl.c"}, {"omp.h", "compute/cpu/cpu_dnnl.c"},
    {"cuda_runtime.h", "compute/cuda/cuda_kern.h"}, {"cuda_runtime_api.h", "compute/cuda/cuda.c compute/cuda/cuda_graph.c compute/cuda/cuda_blas.c"}, {"cublasLt.h", "compute/cuda/cuda_blas.c"},
};
static void check_file(const char *path, const char *rel, const char *folder) {
    FILE *f = fopen(path, "r");
    char line[4096], where[512];
    int mine = find_layer(folder, strlen(folder));
    bool in_comment = false;
    snprintf(where, sizeof where, "src/%.480s", rel);
    if (!f) return;
    for (int no = 1; fgets(line, sizeof line, f); no++) {
        char name[256];
        if (sscanf(line, " # include \"%255[^\"]\"", name) == 1) {
            const char *slash = strchr(name, '/');
            size_t n = slash ? (size_t)(slash - name) : 0;
            int to = slash ? find_layer(name, n) : mine;
            const char *dot = strrchr(name, '.');
            if (slash && to < 0) bad(where, no, "include \"%s\": no such folder in LAYERS", name);
            else if (to != mine && !has_word(layer[mine].may, layer[to].name))
                bad(where, no, "include \"%s\" breaks the row '%s: %s'", name, layer[mine].name, layer[mine].may);
            else if (to != mine && dot && dot - name > 4 && !strncmp(dot - 4, "_int", 4)) bad(where, no, "include \"%s\": an _int.h stays at home", name);
        } else if (sscanf(line, " # include <%255[^>]>", name) == 1) {
            for (size_t i = 0; i < sizeof vendor / sizeof vendor[0]; i++) {
                const char *v = vendor[i][0];
                bool is = v[strlen(v) - 1] == '/' ? !strncmp(name, v, strlen(v)) : !strcmp(name, v);
                if (is && !has_word(vendor[i][1], rel)) bad(where, no, "<%s> belongs to src/%s alone", name, vendor[i][1]);
            }
        }
        if (in_comment) {
            char *e = strstr(line, "*/");
            if (!e) continue;
            memmove(line, e + 2, strlen(e + 2) + 1), in_comment = false;
        }
        char *s = strstr(line, "/*");
        if (s) in_comment = !strstr(s, "*/"), *s = 0;
        if ((s = strstr(line, "//"))) *s = 0;
        if (strcmp(folder, "cli")) {
            static const char *const talk[] = {"exit", "_exit", "printf", "puts", "putchar", "perror"};
            for (size_t i = 0; i < sizeof talk / sizeof talk[0]; i++)
                if (calls(line, talk[i])) bad(where, no, "%s is for cli alone", talk[i]);
            if ((strstr(line, "stdout") || strstr(line, "stderr")) && strcmp(rel, "base/err.c")) bad(where, no, "stdout and stderr are for cli alone");
        }
        if (calls(line, "abort") && strcmp(rel, "base/err.c")) bad(where, no, "abort is for EHM_ASSERT alone");
        static const char *const never[] = {"rand", "srand", "random", "drand48", "time", "clock", "gettimeofday", "clock_gettime", "strtok", "sprintf", "strcpy", "strcat", "gets", "alloca"};
        for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
            if (calls(line, never[i]) && strcmp(rel, "base/clock.c")) bad(where, no, "%s is not used here (base/rng.h, base/clock.h, base/str.h)", never[i]);
    }
    fclose(f);
}
static void walk(const char *rel, const char *folder) {
    char path[1024];
    snprintf(path, sizeof path, "%s/src/%s", root, rel);
    DIR *d = opendir(path);
    if (!d) perror(path), exit(2);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        char sub[600], full[2048];
        struct stat st;
        snprintf(sub, sizeof sub, "%s%s%s", rel, *rel ? "/" : "", e->d_name);
        snprintf(full, sizeof full, "%s/src/%s", root, sub);
        if (stat(full, &st)) continue;
        if (S_ISDIR(st.st_mode)) {
            if (!*rel && find_layer(e->d_name, strlen(e->d_name)) < 0) bad(sub, 0, "folder is missing in src/LAYERS");
            else walk(sub, *rel ? folder : e->d_name);
        } else if (*rel) {
            size_t n = strlen(e->d_name);
            if (n > 2 && (!strcmp(e->d_name + n - 2, ".c") || !strcmp(e->d_name + n - 2, ".h") || (n > 3 && !strcmp(e->d_name + n - 3, ".cu")))) {
                for (int i = 0; i < n_names; i++)
                    if (!strcmp(names[i], e->d_name)) bad(sub, 0, "the name %s stands twice in the tree", e->d_name);
                if (n_names < MAX_FILES) names[n_names++] = strdup(e->d_name);
                check_file(full, sub, folder);
            }
        }
    }
    closedir(d);
}
int main(int argc, char **argv) {
    root = argc > 1 ? argv[1] : ".";
    read_layers();
    for (int i = 0; i < n_layers; i++)
        if (cyclic(i)) bad("src/LAYERS", 0, "a cycle through %s", layer[i].name);
    walk("", "");
    printf("%d files, %d layers, %d faults\n", n_names, n_layers, n_bad);
    return n_bad > 0;
}
