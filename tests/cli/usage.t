# Wrong usage: exit code 2, what is wrong, and the near word.
$ ehm
usage: ehm COMMAND [options]     (ehm help lists the commands)
[2]
$ ehm lst
ehm: lst: there is no such command
  hint:  did you mean list?
usage: ehm COMMAND [options]     (ehm help lists the commands)
[2]
$ ehm list
ehm: ehm list: WHAT is missing
  hint:  one of presets, masks, ...
usage: ehm list WHAT [options]     (ehm help list)
[2]
$ ehm list maks
ehm: ehm list maks: must be one of presets, masks, recipes, tasks, ops, settings
  hint:  did you mean masks?
usage: ehm list WHAT [options]     (ehm help list)
[2]
$ ehm list masks extra
ehm: ehm list: what is "extra" for?
usage: ehm list WHAT [options]     (ehm help list)
[2]
$ ehm list masks --jsno
ehm: --jsno: there is no such option
  hint:  did you mean --json?
usage: ehm list WHAT [options]     (ehm help list)
[2]
$ ehm list masks --zzzzzzzz
ehm: --zzzzzzzz: there is no such option
  hint:  ehm help list lists the options
usage: ehm list WHAT [options]     (ehm help list)
[2]
$ ehm list masks -x
ehm: -x: there is no such option
...
[2]

# A flag of another command says whose it is.
$ ehm list masks --completion bash
ehm: --completion: ehm list masks takes no such option
  hint:  taken by: ehm help
usage: ehm list WHAT [options]     (ehm help list)
[2]

# Values: key, value and range.
$ ehm list masks --threads
ehm: --threads: needs a value (threads)
...
[2]
$ ehm list masks --threads --json
ehm: --threads: needs a value (threads)
...
[2]
$ ehm list masks --threads 0
ehm: --threads 0: must be a whole number from 1 to 1024 or auto (threads)
...
[2]
$ ehm list masks --threads -3
ehm: --threads -3: must be a whole number from 1 to 1024 or auto (threads)
...
[2]
$ ehm list masks --seed=99999999999999999999
ehm: --seed 99999999999999999999: must be a whole number from 0 (number)
...
[2]
$ ehm list masks --color neverr
ehm: --color neverr: must be one of auto|always|never
  hint:  did you mean never?
...
[2]
$ ehm list masks --json=perhaps
ehm: --json perhaps: must be true or false
...
[2]
$ ehm list masks --no-threads
ehm: --no-threads: threads is no switch that could be turned off
...
[2]
$ ehm list masks --no-json=true
ehm: --no-json=true: a switch that is turned off takes no value
...
[2]

# Spellings that are fine: underscores, '=', switches turned off, flags before the command, '--'.
$ ehm --dry_run list masks --threads=2
the settings are fine; nothing was done
$ ehm list masks --dry-run --json --no-json
the settings are fine; nothing was done
$ ehm --quiet list masks --dry-run=true
$ ehm list --dry-run -- masks
the settings are fine; nothing was done
