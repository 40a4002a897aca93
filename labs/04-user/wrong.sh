# missing: no user namespace is inside another one
# missing: uid_map is empty
unshare --user bash -c 'echo ready; sleep 1000'
