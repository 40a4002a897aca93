# missing: no process is PID 1
# missing: is still in the host's uts namespace
# missing: is still in the host's cgroup namespace
unshare --mount --ipc --net bash <<'INSIDE'
mount -t tmpfs tmpfs /mnt
ipcmk --queue
echo ready
sleep 1000
INSIDE
