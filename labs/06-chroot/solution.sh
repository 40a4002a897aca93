set -e
mkdir -p /tmp/coffer-lab-chroot/bin /tmp/coffer-lab-chroot/proc
cp "$(command -v busybox)" /tmp/coffer-lab-chroot/bin/busybox
perl -e 'chroot "/tmp/coffer-lab-chroot"; chdir "/"; mkdir "x"; chroot "x"; chdir ".." for 1..64; chroot "."; exec "/bin/ls", "/"' | grep -qx etc
unshare --mount bash <<'INSIDE'
mount -t proc proc /tmp/coffer-lab-chroot/proc
coffer chroot /tmp/coffer-lab-chroot /bin/busybox sh -c '
  busybox ls /
  busybox chroot /proc/$PPID/root /bin/sh -c "ls /; echo ready; sleep 1000"
  true
'
INSIDE
