# missing: is not in coffer-lab-trees-
for controller in cpu memory pids; do
  mkdir /sys/fs/cgroup/$controller/coffer-lab-trees-$controller
  # Three processes, one in each tree.
  sleep 1000 &
  echo $! > /sys/fs/cgroup/$controller/coffer-lab-trees-$controller/cgroup.procs
done
echo ready
wait
