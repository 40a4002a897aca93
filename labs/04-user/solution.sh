coffer unshare --user --map-root-user bash <<'OUTER'
id -u
cat /proc/self/uid_map
unshare --user --map-root-user bash <<'INNER'
cat /proc/self/uid_map
echo ready
sleep 1000
INNER
OUTER
