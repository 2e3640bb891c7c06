# A settings file: weaker than flags, strict about what it holds.
$ echo '{"threads": 3, "common": {"seed": 7}}' >c.json
$ ehm list masks --config c.json --seed 8 --print-config
{
  "seed": {"value": 8, "origin": "flag"},
  "threads": {"value": 3, "origin": "config file"},
  "device": {"value": "auto", "origin": "default"},
...
}

# What was printed is a settings file.
$ ehm list masks --config c.json --print-config --threads 5 >printed.json && ehm list masks --config printed.json --print-config
{
  "seed": {"value": 7, "origin": "config file"},
  "threads": {"value": 5, "origin": "config file"},
...
}

$ echo '{"treads": 3}' >c.json; ehm list masks --config c.json
ehm: treads: there is no such setting
  while: reading settings from c.json
  hint:  did you mean threads?
usage: ehm list WHAT [options]     (ehm help list)
[2]
$ echo '{"threads": 3, "threads": 3}' >c.json; ehm list masks --config c.json
ehm: c.json:1:1: this object has the key "threads" twice
[2]
$ echo '{"threads": 0}' >c.json; ehm list masks --config c.json
ehm: threads 0: must be a whole number from 1 to 1024 or auto (threads)
  while: reading settings from c.json
...
[2]
$ echo '{"threads": "x"' >c.json; ehm list masks --config c.json
ehm: c.json:1:1: this object has no end
[2]
$ ehm list masks --config none.json
ehm: none.json: cannot open: No such file or directory
[2]
