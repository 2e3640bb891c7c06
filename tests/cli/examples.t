# The example of every command works as the help text shows it, each in a folder of its own.
$ for c in $(ehm help --names); do mkdir $c && (cd $c && ehm help --examples $c >e.sh && sh -e e.sh >log 2>&1 || { echo "$c fails:"; cat log; }); done
