mkdir /sys/fs/cgroup/memory/coffer-lab-memory
cd /sys/fs/cgroup/memory/coffer-lab-memory || exit
echo 1000000 > memory.limit_in_bytes
[ "$(cat memory.limit_in_bytes)" = $((244 * 4096)) ] || exit
echo 16M > memory.limit_in_bytes
[ ! -w memory.memsw.limit_in_bytes ] || echo 16M > memory.memsw.limit_in_bytes
sh -c 'echo $$ > cgroup.procs; exec tail /dev/zero'
[ $? = 137 ] || exit
cat memory.max_usage_in_bytes memory.oom_control
sh -c 'echo $$ > cgroup.procs; echo ready; sleep 1000'
