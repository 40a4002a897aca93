coffer unshare --mount --pid --fork bash <<'INSIDE'
set -e
mkdir -p /tmp/coffer-lab-pivot_root
mount -t tmpfs coffer-lab-pivot_root /tmp/coffer-lab-pivot_root
cd /tmp/coffer-lab-pivot_root
mkdir bin proc old
cp "$(command -v busybox)" bin/busybox
pivot_root . old
cd /
exec /bin/busybox sh -c '
  busybox mount -t proc proc /proc
  busybox umount -l /old
  busybox ls / /proc/1/root
  echo ready
  busybox sleep 1000
'
INSIDE
