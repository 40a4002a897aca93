set -e
mkdir /sys/fs/cgroup/devices/coffer-lab-devices
cd /sys/fs/cgroup/devices/coffer-lab-devices
cat devices.list
echo 'c 1:5 rwm' > devices.deny
echo $$ > cgroup.procs
! head -c 4 /dev/zero
head -c 4 /dev/null
echo ready
sleep 1000
