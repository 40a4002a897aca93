# missing: no process is in
# missing: have used 0 ms of CPU time
mkdir /sys/fs/cgroup/cpuacct/coffer-lab-cpuacct
echo ready
sleep 1000
