coffer unshare --mount --uts --ipc --net --pid --fork /bin/bash <<'INSIDE'
set -e
hostname my-container
echo "New hostname: $(hostname)"
mount -t proc proc /proc
ps aux
mount -t tmpfs tmpfs /mnt
mount | grep /mnt
ip addr
ipcmk --queue
unshare --cgroup bash -c 'cat /proc/self/cgroup; echo ready; sleep 1000'
INSIDE
