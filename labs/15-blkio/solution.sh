set -e
mkdir -p /tmp/coffer-lab-blkio
disk=$(stat -c %Hd:%Ld /tmp/coffer-lab-blkio)
[ ! -e "/sys/dev/block/$disk/partition" ] || disk=$(cat "/sys/dev/block/$disk/../dev")
mkdir /sys/fs/cgroup/blkio/coffer-lab-blkio
cd /sys/fs/cgroup/blkio/coffer-lab-blkio
echo "$disk 1048576" > blkio.throttle.write_bps_device
echo $$ > cgroup.procs
dd if=/dev/zero of=/tmp/coffer-lab-blkio/file bs=64k count=32 oflag=direct
cat blkio.throttle.io_service_bytes
echo ready
sleep 1000
