# Masks of objects: learned by heart, files, and sets without them.
$ ehm eval instances --train scenes:1:8:64
ehm: --model is missing: a run folder, a safetensors file or untrained:PRESET
[2]
$ ehm eval instances --model untrained:pico --train scenes:1:6:64 --test scenes:1:6:64 --detect-width 16 --batch-size 3 --lr 2e-3 --steps 120 --drop-path 0 --scale-min 0.9 --scale-max 1.1 --predictions p.json --box-sheet s.png --json --quiet >a.json && ehm_json_ok <a.json && (echo "{\"all\":" && cat p.json && echo "}") | ehm_json_ok
task protocol n_test n_train best rows notes
all
$ tr '{' '\n' <a.json | grep '"mask AP50"' | sed 's/.*"value":\([^,]*\).*/\1/' | awk 'NR == 1 { print($1 > 0.2 ? "learned" : "not learned: " $1) }'; grep -c counts p.json | awk '{ print($1 > 0) }'; tr '{' '\n' <a.json | grep -c '"box AP"'
learned
1
2
$ ehm data scenes:3:6:64 --export set --quiet >out; rm -r set/labels; ehm eval instances --model untrained:pico --train set --test scenes:3:6:64 --steps 1 --quiet
ehm: set has boxes but no masks of objects (first: ...)
  hint:  scenes:SEED:COUNT[:SIZE] and its exports (labels/object) have them; ehm eval detect needs boxes alone
[1]
