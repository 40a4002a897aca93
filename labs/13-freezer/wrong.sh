# missing: is THAWED, not FROZEN
mkdir /sys/fs/cgroup/freezer/coffer-lab-freezer
sleep 1000 &
echo $! > /sys/fs/cgroup/freezer/coffer-lab-freezer/cgroup.procs
kill -STOP $!
echo ready
wait
