set -e
mkdir /sys/fs/cgroup/freezer/coffer-lab-freezer
cd /sys/fs/cgroup/freezer/coffer-lab-freezer
sh -c 'while :; do :; done' &
echo $! > cgroup.procs
echo FROZEN > freezer.state
until grep -q FROZEN freezer.state; do :; done
before=$(cut -d ' ' -f 14 /proc/$!/stat)
timeout 1 sh -c 'while :; do :; done' || true
[ "$(cut -d ' ' -f 14 /proc/$!/stat)" = "$before" ]
echo ready
wait
