# missing: is 3906 pages, not 4096
# missing: the limit was not reached
# missing: was killed for want of memory
mkdir /sys/fs/cgroup/memory/coffer-lab-memory
cd /sys/fs/cgroup/memory/coffer-lab-memory
echo 16000000 > memory.limit_in_bytes
echo $$ > cgroup.procs
echo ready
sleep 1000
