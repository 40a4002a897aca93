# missing: still sees the host's files at /old
unshare --mount --pid --fork bash <<'INSIDE'
mkdir -p /tmp/coffer-lab-pivot_root
mount -t tmpfs coffer-lab-pivot_root /tmp/coffer-lab-pivot_root
cd /tmp/coffer-lab-pivot_root
mkdir bin old
cp "$(command -v busybox)" bin/busybox
pivot_root . old
cd /
exec /bin/busybox sh -c 'echo ready; busybox sleep 1000'
INSIDE
