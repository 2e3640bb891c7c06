# The page of a run, served while it goes on.
? env --default-signal=INT true
$ ehm pretrain --data scenes:1:16:32 --preset pico --batch-size 8 --steps 2 --out a --quiet >/dev/null && ehm report a --watch --until-done --quiet
http://127.0.0.1:.../
$ ehm report a --watch --until-done --json --quiet | ehm_json_ok
url port
$ rm a/DONE && printf '%s\n' 'rm -f at' 'env --default-signal=INT ehm report a --watch --json --quiet >at & p=$!' 'until [ -s at ] || ! kill -0 $p; do sleep 0.05; done' 'timeout 20 ehm report a --watch --port $(grep -o "[0-9]*" at | tail -1)' 'kill -$SIG $p; wait $p; echo $?' >stop
$ SIG=INT sh stop
ehm: 127.0.0.1:...: cannot be served: Address already in use
  hint:  another program has this port: give another --port, or none for one that is free
ehm: http://127.0.0.1:.../ is served no longer
130
$ SIG=TERM sh stop 2>&1 | tail -1
143

# What cannot be.
$ ehm report nowhere --watch
ehm: nowhere: there is no such folder
...
[1]
$ ehm report a --watch --out x.html
ehm: --watch serves the page and --out writes it: one of the two
[2]
$ ehm report a --port 8000
ehm: --port goes with --watch
[2]
$ ehm report a --until-done
ehm: --until-done goes with --watch
[2]
$ ehm report a --watch --port 70000
ehm: ...70000...
...
[2]
$ ls
a
at
stop
