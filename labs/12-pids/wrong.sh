# missing: no fork was refused
mkdir /sys/fs/cgroup/pids/coffer-lab-pids
cd /sys/fs/cgroup/pids/coffer-lab-pids
echo 8 > pids.max
echo $$ > cgroup.procs
echo ready
sleep 1000
