# What programs read: with --json each command prints exactly one object, also when it fails; --quiet leaves stderr
# to errors; --print-config is a settings file; --dry-run changes nothing.
$ ehm pretrain --data scenes:1:16:32 --preset pico --batch-size 8 --steps 2 --out run --json 2>/dev/null | ehm_json_ok
out already_done steps steps_here loss seconds images_per_s
$ ehm pretrain --out run --resume --json 2>/dev/null | ehm_json_ok
out already_done steps steps_here
$ ehm plan --preset pico --json 2>/dev/null | ehm_json_ok
preset parameters img_h img_w patch_size n_patches n_visible dtype batch_size ... memory_bytes ... lr
$ ehm plan --data scenes:1:64:32 --json 2>/dev/null | ehm_json_ok
preset ... pictures batches_per_epoch steps warmup_steps lr
$ ehm embed --model run --data scenes:1:4:32 --out f.npy --json 2>/dev/null | ehm_json_ok
out table n n_bad n_tokens dim seconds
$ ehm eval knn --model run --train scenes:1:40:32 --test scenes:2:8:32 --k 3 --against untrained:run --json 2>/dev/null | ehm_json_ok
task protocol n_test n_train best rows notes
$ ehm draw reconstruct --model run --image scenes:1:4:32 --out d.ppm --json 2>/dev/null | ehm_json_ok
out n mean_loss pictures
$ ehm data scenes:1:16:32 --check --json 2>/dev/null | ehm_json_ok
data hash count ... bad bad_files near_duplicates near_duplicate_pairs
$ ehm info run --json 2>/dev/null | ehm_json_ok
run finished newest_checkpoint file n_tensors n_numbers known ... metadata tensors
$ ehm info run/encoder.safetensors --verbose --json 2>/dev/null | ehm_json_ok
file n_tensors n_numbers known ... metadata tensors
$ for w in presets masks recipes tasks ops settings; do ehm list $w --json 2>/dev/null | ehm_json_ok; done
presets
masks
recipes
tasks
ops
settings
$ ehm doctor --json 2>/dev/null | ehm_json_ok
processors memory ... n_notes
$ ehm bench step --preset pico --batch-size 2 --seconds 0.2 --json 2>/dev/null | ehm_json_ok
model device dtype batch_size threads images_per_s lo hi stretches ...
$ ehm help --json 2>/dev/null | ehm_json_ok
version commands
$ ehm --version --json 2>/dev/null | head -1
{"version": "...

# Names with quotes, tabs and what is no UTF-8 stay inside their string.
$ mkdir odd && cp "$ROOT/tests/golden/image/rgb.ppm" odd/'a"b\c.ppm' && cp odd/a* "odd/$(printf 'tab\there.ppm')" && cp odd/a* "odd/$(printf 'latin\344.ppm')" && printf 'P6\n9 9\n255\n' >"odd/$(printf 'bad\001.ppm')"
$ ehm data odd --check --json 2>/dev/null >j; ehm_json_ok <j && iconv -f UTF-8 -t UTF-8 j >/dev/null
data hash ...
$ ehm embed --model run --data odd --out odd.npy --quiet >log; wc -l <odd.tsv; awk -F '\t' 'NF != 2' odd.tsv
4

# A failure is an object too, whatever failed.
$ ehm data nowhere --json 2>/dev/null | tee j | ehm_json_ok; cat j
error
{"error": {"code": "config", "what": "nowhere: there is no such file or folder"...}}
$ ehm list maks --json 2>/dev/null | ehm_json_ok
error
$ ehm embed --pool men --json 2>/dev/null | ehm_json_ok
error
$ ehm pretrain --data scenes:1:16:32 --out run --quiet --json | ehm_json_ok
ehm: run: holds a run that is finished
  hint:  --resume goes on with it, --overwrite deletes it, --out names another folder
error

# Every line of a run's tables is an object; so is its config.
$ for f in metrics timing; do while read -r line; do echo "$line" | ehm_json_ok; done <run/$f.jsonl; done
step epoch loss lr grad_norm loss_z grad_norm_z u masked_regions visible_regions largest_masked_region mask_perimeter flat_share
step ...
step epoch u watch
step images_per_s wait_frac seconds teacher_ms similarity_ms tree_ms selection_ms rss
...
$ ehm_json_ok <run/config.json
format ... settings ...

# --quiet: results, and nothing on stderr.
$ ehm pretrain --data scenes:1:16:32 --preset pico --batch-size 8 --steps 2 --out quiet --quiet 2>&1 >/dev/null
$ ehm embed --model run --data scenes:1:4:32 --out f.npy --quiet 2>&1 >/dev/null
$ ehm eval knn --model run --train scenes:1:40:32 --test scenes:2:8:32 --k 3 --quiet 2>&1 >/dev/null
$ ehm draw reconstruct --model run --image scenes:1:4:32 --out d.ppm --quiet 2>&1 >/dev/null
$ ehm data scenes:1:16:32 --check --quiet 2>&1 >/dev/null
$ ehm data scenes:1:4:32 --quiet --export exported 2>&1 >/dev/null
$ ehm plan --data scenes:1:64:32 --quiet 2>&1 >/dev/null
$ ehm data nowhere --quiet
ehm: nowhere: there is no such file or folder
...
[2]

# And without it talk goes to stderr alone: the result can be piped.
$ ehm pretrain --data scenes:1:16:32 --preset pico --batch-size 8 --steps 2 --out talk 2>/dev/null
talk: 2 steps, last loss ...
$ ehm embed --model run --data scenes:1:4:32 --out f.npy 2>/dev/null | wc -l
3

# --print-config says where each value is from, and is itself a settings file that gives the same.
$ ehm pretrain --data scenes:1:16:32 --preset pico --batch-size 8 --out printed --print-config 2>/dev/null >c.json; grep -E '^  "(preset|depth|img_size|mask|threads|epochs)":' c.json
  "threads": {"value": ..., "origin": "machine"},
  "img_size": {"value": "32", "origin": "data"},
  "preset": {"value": "pico", "origin": "flag"},
  "depth": {"value": 4, "origin": "preset"},
  "mask": {"value": "ehm", "origin": "recipe"},
  "epochs": {"value": 100, "origin": "default"},
$ ehm pretrain --config c.json --print-config 2>/dev/null >d.json; sed 's/, "origin.*//' c.json >c && sed 's/, "origin.*//' d.json | diff c - && grep -c 'config file' d.json
...
$ for c in plan embed "eval knn" "draw reconstruct" data "info x" "list masks" doctor "bench step" help; do ehm $c --print-config 2>/dev/null | ehm_json_ok >keys || echo "$c"; done
$ ls -d printed
ls: cannot access 'printed': No such file or directory
[2]

# --dry-run: all checks, no traces.
$ ls >before; ehm pretrain --data scenes:1:16:32 --preset pico --batch-size 8 --out dry --dry-run 2>&1 | tail -1; ehm data scenes:1:4:32 --export dry --dry-run --quiet >/dev/null
all checks passed; nothing was done
$ ehm embed --model run --data scenes:1:4:32 --out dry.npy --dry-run; ehm draw reconstruct --model run --image scenes:1:4:32 --out dry.ppm --dry-run
the settings are fine; nothing was done
the settings are fine; nothing was done
$ ls | diff before -
$ ehm pretrain --data scenes:1:16:32 --batch-size 17 --out dry --dry-run --quiet
ehm: --batch-size 17 is more than the 16 pictures there are
...
[2]
$ for c in "pretrain --data scenes:1:16:32 --preset pico --batch-size 8 --out dry" "embed --model run" "info run" doctor; do ehm $c --dry-run --json --quiet | ehm_json_ok; done
dry_run
dry_run
dry_run
dry_run
