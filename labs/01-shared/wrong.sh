# missing: has a uts namespace of its own
unshare --uts sh -c 'echo ready; sleep 1000'
