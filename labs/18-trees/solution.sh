set -e
for controller in cpu memory pids; do
  mkdir /sys/fs/cgroup/$controller/coffer-lab-trees-$controller
  echo $$ > /sys/fs/cgroup/$controller/coffer-lab-trees-$controller/cgroup.procs
done
cat /proc/$$/cgroup
echo ready
sleep 1000
