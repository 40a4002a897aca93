# missing: no process is in
# missing: is "", not one CPU
mkdir /sys/fs/cgroup/cpuset/coffer-lab-cpuset
echo $$ > /sys/fs/cgroup/cpuset/coffer-lab-cpuset/cgroup.procs
echo ready
sleep 1000
