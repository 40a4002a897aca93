coffer unshare --mount bash <<'INSIDE'
set -e
mount -t cgroup -o net_prio net_prio /mnt
mkdir /mnt/coffer-lab-net_prio
echo 'lo 5' > /mnt/coffer-lab-net_prio/net_prio.ifpriomap
# The same interfaces in a network namespace that has lo alone.
diff /mnt/coffer-lab-net_prio/net_prio.ifpriomap <(unshare --net cat /mnt/coffer-lab-net_prio/net_prio.ifpriomap)
priority() {
  nsenter --net=/proc/2/ns/net python3 -c 'if True:
    from socket import *
    to = socket(AF_INET, SOCK_DGRAM)
    to.bind(("127.0.0.1", 0))
    to.setsockopt(SOL_SOCKET, 82, 1)
    socket(AF_INET, SOCK_DGRAM).sendto(b"hello", to.getsockname())
    print(to.recvmsg(9, 99)[1][0][2][0])'
}
outside=$(priority) || true
echo $$ > /mnt/coffer-lab-net_prio/cgroup.procs
# Before Linux 6.14 nobody can ask, and process 2 is not the kernel's where pids are those of a container.
if [ "$outside" = 0 ] && [ "$(cat /proc/2/comm)" = kthreadd ]; then
  [ "$(priority)" = 5 ]
fi
echo ready
sleep 1000
INSIDE
