mkdir /sys/fs/cgroup/pids/coffer-lab-pids
cd /sys/fs/cgroup/pids/coffer-lab-pids || exit
echo 8 > pids.max
sh -c 'echo $$ > cgroup.procs; for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done'
cat pids.current pids.max pids.events
echo ready
sleep 1000
